"""The files that a folder, a URL or a list of paths stands for.

All give a `walk.Found`, which a run keeps (`data/kept_list.py`), and tell how
what is there has changed since.
"""

from __future__ import annotations

import codecs
from collections.abc import Sequence
import os

from mtssl_tf.data import remote
from mtssl_tf.files import walk
from mtssl_tf.files import whole_file
from mtssl_tf.process import paths

_BLANKS = " \t\r"
_MAX_LIST_BYTES = 2**28  # ours: a million paths of 260 letters


def files_below(place: str, suffixes: tuple[str, ...]) -> walk.Found:
    """Finds a place's files.

    Args:
        place: a folder, a URL of one, or list:FILE, a text file with a path a
            line, whose suffixes are not asked for.
        suffixes: of the files wanted, in small letters.

    Raises:
        ValueError: a list is no text, or a URL's package is missing.
        OSError: there is no such list, or a URL cannot be reached.
    """
    if place.startswith(paths.LIST):
        return _found(place, _read_list(place.removeprefix(paths.LIST)))
    if paths.is_url(place):
        names = [
            name
            for name in remote.find(place)
            if name.lower().endswith(suffixes)
            and not any(part.startswith(".") for part in name.split("/"))
        ]
        return _found(place, sorted(names))
    return walk.files_below(place, suffixes)


def changes_since(found: walk.Found, suffixes: tuple[str, ...]) -> walk.Changes:
    """Looks at a place again.

    Args:
        found: by `files_below`, there or where the place was before.
        suffixes: that it was asked for.

    Raises:
        ValueError, OSError: as `files_below`.
    """
    place = found.folder
    if not (place.startswith(paths.LIST) or paths.is_url(place)):
        return walk.changes_since(found, suffixes)
    now = files_below(place, suffixes).names
    # Of an earlier version a list may be kept as it was typed.
    before, after = set(map(_key, found.names)), set(map(_key, now))
    return walk.Changes(
        tuple([name for name in now if _key(name) not in before]),
        tuple([name for name in found.names if _key(name) not in after]),
        found.folder_times,
    )


def paths_of(place: str, names: Sequence[str]) -> list[str]:
    """Returns the paths or URLs of files by their names in a place."""
    if not place.startswith(paths.LIST):
        start = os.path.join(place, "")
        return [start + name for name in names]
    folder = place.removeprefix(paths.LIST).rpartition("/")[0]
    return [
        name if paths.is_url(name) else os.path.join(folder, name)
        for name in names
    ]


def _found(place: str, names: list[str]) -> walk.Found:
    return walk.Found(place, tuple(names), (place,), (walk.UNSURE,), ())


def _read_list(file: str) -> list[str]:
    """Returns the paths in a list, each once, in their order.

    Blanks around one are not part of it, and `~/` is the home folder.
    """
    if paths.is_url(file):
        contents = remote.read(file)
    else:
        try:
            contents = whole_file.load(file, _MAX_LIST_BYTES)
        except FileNotFoundError as error:
            raise FileNotFoundError(
                f"--images={paths.LIST}{file}: there is no such file. Name a "
                "text file with the path of a picture in each line."
            ) from error
    if b"\0" in contents:
        raise ValueError(
            f"--images={paths.LIST}{file} is no text. Name a text file with "
            "the path of a picture in each line."
        )
    lines = os.fsdecode(contents.removeprefix(codecs.BOM_UTF8)).split("\n")
    first_of: dict[str, str] = {}
    for line in lines:
        name = _with_home(line.strip(_BLANKS))
        if name:
            first_of.setdefault(_key(name), name)
    return list(first_of.values())


def _with_home(name: str) -> str:
    return paths.expand(name) if name.startswith("~/") else name


def _key(name: str) -> str:
    """Returns what is the same for `a.jpg` and `./a.jpg`, as typed or not."""
    name = _with_home(name.removeprefix("\ufeff").strip(_BLANKS))
    if "./" not in name and "//" not in name:
        return name  # as nearly all of what may be a million
    parts = [part for part in name.split("/") if part not in ("", ".")]
    return "/" * name.startswith("/") + "/".join(parts)
