"""Paths, and sets of data, as people type them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
import contextlib
import os
import pathlib
import re

_PATTERN = frozenset("*?[]{}\\")
TFDS = "tfds:"
RECORDS = "tfrecord:"
SHARDS = "webdataset:"
LIST = "list:"
BEFORE_PATHS = (RECORDS, SHARDS, LIST)
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")

# What `--images` and its like take, for every --help.
IMAGES_HELP = (
    "a folder, searched recursively; a URL of one (gs://, s3://, ...); "
    "tfds:NAME:SPLIT; tfrecord:GLOB; webdataset:GLOB of tar files; or "
    "list:FILE of paths; several with commas between (docs/data.md)."
)


def expand(text: str) -> str:
    """Returns a path with `~` and `~user` replaced, and all else as it is.

    Shells leave the `~` of `--flag=~/x` alone. Brackets, `*` and `$` are part
    of a name. `tfds:NAME:SPLIT` names no path; `tfrecord:PATH`,
    `webdataset:PATH` and `list:PATH` do behind the colon.

    Raises:
        ValueError: there is no such home.
    """
    if text.startswith(TFDS):
        return text
    for start in BEFORE_PATHS:
        if text.startswith(start):
            return start + expand(text.removeprefix(start))
    if not text.startswith("~"):
        return text
    # An empty HOME would make a path of the root folder.
    is_own = text == "~" or text.startswith("~/")
    is_unset = is_own and os.environ.get("HOME") == ""
    expanded = text if is_unset else os.path.expanduser(text)
    if expanded == text:
        user = text[1:].partition("/")[0]
        whose = f"user {user!r} has none" if user else "HOME is not set"
        raise ValueError(
            f"{text} is below a home folder, and {whose}. Name the folder in "
            "full, or write ./~ for one of that name."
        )
    return expanded


def split(text: str) -> list[str]:
    """Returns the sets of data that a list with commas names, `~` replaced.

    What is there under the very name typed is meant by it, commas and all.

    Raises:
        ValueError: there is no such home, one is named twice, or one is
            empty.
    """
    if not text:
        return []
    whole = expand(text)
    path = whole
    for start in BEFORE_PATHS:
        path = path.removeprefix(start)
    if "," not in text or os.path.lexists(path):
        return [whole]
    parts = [expand(part.strip()) for part in text.split(",")]
    if "" in parts:
        raise ValueError(
            f"{text} names nothing beside a comma: a variable that is not set? "
            "Name all sets of data, or leave the comma out."
        )
    twice = [part for part in parts if parts.count(part) > 1]
    if twice:
        raise ValueError(f"{text} names {twice[0]} twice. Leave one out.")
    _check_apart(text, parts)
    return parts


def _check_apart(text: str, parts: list[str]) -> None:
    """Raises ValueError where one folder is another, or lies in it.

    Its pictures would be there twice, and could be both trained on and held
    out.
    """
    folders = [part for part in parts if _is_folder(part)]
    for one in folders:
        for other in folders:
            if one != other and lies_in(other, one):
                raise ValueError(
                    f"{text} names {other}, and all of it with {one}: it "
                    "would be there twice. Leave one out."
                )


def lies_in(inner: str, outer: str) -> bool:
    """Returns whether a folder is another, or lies in it, links followed."""
    start = os.path.join(os.path.realpath(outer), "")
    return os.path.join(os.path.realpath(inner), "").startswith(start)


def join(parts: Iterable[str | os.PathLike]) -> str:
    """Returns what `split` splits."""
    return ",".join([os.fspath(part) for part in parts])


def is_same_place(one: str, other: str) -> bool:
    """Returns whether two name the same sets of data, as `x` and `x/`."""
    if one == other:
        return True
    try:
        parts = [
            [identity(part) for part in split(each)] for each in (one, other)
        ]
    except (OSError, ValueError):
        return False
    return parts[0] == parts[1]


def identity(place: str) -> str:
    """Returns what is the same for all ways to name one set of data."""
    if is_url(place):
        return place.rstrip("/")
    for start in BEFORE_PATHS:
        if place.startswith(start):
            path = place.removeprefix(start)
            return start + (path if is_url(path) else os.path.realpath(path))
    return place if place.startswith(TFDS) else os.path.realpath(place)


def is_url(text: str) -> bool:
    """Returns whether a place is reached through fsspec."""
    return bool(_URL.match(text))


def needs_tensorflow(text: str) -> bool:
    """Returns whether a set of data is opened by TensorFlow's own code."""
    return any(part.startswith((TFDS, RECORDS)) for part in split(text))


def local_folders(text: str) -> list[str]:
    """Returns the folders of this machine among the sets of data named."""
    return [part for part in split(text) if _is_folder(part)]


def _is_folder(part: str) -> bool:
    """Returns whether a set of data is a folder of this machine."""
    is_marked = part.startswith((TFDS, *BEFORE_PATHS))
    return not (is_marked or is_url(part) or is_shard(part))


def is_shard(text: str) -> bool:
    """Returns whether a path is that of a tar file, or a pattern of such."""
    return text.endswith(".tar") and not os.path.isdir(text)


def check_parent(path: pathlib.Path, what: str) -> None:
    """Checks that the folder is there which something will be written into.

    Args:
        path: of what will be written.
        what: it is, for the message.

    Raises:
        FileNotFoundError: it is not.
    """
    if not path.absolute().parent.is_dir():
        raise FileNotFoundError(
            f"{what}: there is no folder {path.parent}. Make it, or name "
            "another."
        )


@contextlib.contextmanager
def without_pattern(folder: pathlib.Path) -> Iterator[str]:
    """Gives another path of a folder, of plain letters whatever its name.

    TensorFlow takes the paths of checkpoints and SavedModels for patterns: it
    does not find `exp[1]`. Nor does it take what is no UTF-8.

    Args:
        folder: that is there.
    """
    whole = str(folder.absolute())
    is_text = os.fsencode(whole) == whole.encode(errors="replace")
    if is_text and not _PATTERN & set(whole):
        yield str(folder)
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)
