"""Names of files: their order, and how they are shown.

A name is any bytes but `/` and NUL. Python holds what is no UTF-8 in lone
surrogates, which neither UTF-8, TensorFlow nor OpenCV takes.
"""

from __future__ import annotations

from collections.abc import Sequence
import os
import re
import typing
import unicodedata

_NUMBER = re.compile(r"(\d+)")
_MAX_NAMED = 8  # ours: names that a message lists


def natural_key(name: str) -> tuple:
    """Returns a key that sorts by the numbers in names: 9 before 10.

    Names that differ only in leading zeros follow their text.
    """
    parts = _NUMBER.split(name)  # text, number, text, ...
    numbered = [
        int(part) if index % 2 else part for index, part in enumerate(parts)
    ]
    return tuple(numbered), name


def as_bytes(name: str) -> bytes:
    """Returns the bytes that a name has on disk."""
    return os.fsencode(name)


def for_opencv(path: str | os.PathLike) -> str:
    """Returns a path as OpenCV takes it, whatever bytes it holds.

    At a `str` that is no UTF-8 it ends the process. It takes bytes as well,
    which its annotations do not say.
    """
    return typing.cast(str, os.fsencode(path))


def as_text(name: str | os.PathLike) -> str:
    r"""Returns a name as text that everything takes: a stray byte as \xff."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def all_as_text(names: Sequence[str]) -> tuple[str, ...]:
    """Returns `as_text` of each name, all at once: there may be a million."""
    joined = "\0".join(names)  # NUL is in no name
    text = as_text(joined)
    return tuple(names if text == joined else text.split("\0"))


def shown(name: str | os.PathLike) -> str:
    r"""Returns a name for one line of a message: a line's end as \n too."""
    return "".join(
        each.encode("unicode_escape").decode()
        if unicodedata.category(each) == "Cc"
        else each
        for each in as_text(name)
    )


def some(names: Sequence[str]) -> str:
    """Returns the first names, and how many more there are."""
    listed = ", ".join(shown(name) for name in names[:_MAX_NAMED])
    more = len(names) - _MAX_NAMED
    return f"{listed} and {more} more" if more > 0 else listed
