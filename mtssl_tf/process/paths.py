"""Paths as people type them."""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import os
import pathlib

_PATTERN = frozenset("*?[]{}\\")
_DATASET = "tfds:"
_RECORDS = "tfrecord:"


def expand(text: str) -> str:
    """Returns a path with `~` and `~user` replaced, and all else as it is.

    Shells leave the `~` of `--flag=~/x` alone. Brackets, `*` and `$` are part
    of a name. `tfds:NAME:SPLIT` names no path, `tfrecord:PATH` does behind
    the colon.

    Raises:
        ValueError: there is no such home.
    """
    if text.startswith(_DATASET):
        return text
    if text.startswith(_RECORDS):
        return _RECORDS + expand(text.removeprefix(_RECORDS))
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


def is_dataset(text: str) -> bool:
    """Returns whether `tfds:` or `tfrecord:` is named, and not a folder."""
    return text.startswith((_DATASET, _RECORDS))


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
    """Gives another path of a folder, which is no pattern whatever its name.

    TensorFlow takes the paths of checkpoints and SavedModels for patterns: it
    does not find `exp[1]`.

    Args:
        folder: that is there.
    """
    if not _PATTERN & set(str(folder.absolute())):
        yield str(folder)
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)
