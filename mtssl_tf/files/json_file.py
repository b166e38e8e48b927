"""Reads JSON that people or programs wrote, with its name in every error."""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import json
import os
from typing import Any

from mtssl_tf.files import whole_file

# What a missing or odd entry raises where it is read.
_OF_ENTRIES = (
    ArithmeticError,
    AttributeError,
    LookupError,
    TypeError,
    ValueError,
)


def load(path: str | os.PathLike, remedy: str = "") -> Any:
    """Returns what a JSON file holds.

    Args:
        path: of the file.
        remedy: what to do about one that is damaged, as a sentence.

    Raises:
        OSError: it cannot be read, or is a pipe.
        ValueError: it is not JSON; names the file.
    """
    return parse(whole_file.load(path), os.fspath(path), remedy)


def load_object(path: str | os.PathLike, remedy: str) -> dict[str, Any]:
    """Returns the one object that a JSON file holds.

    Raises:
        OSError: it cannot be read.
        ValueError: it holds something else; names the file.
    """
    value = load(path, remedy)
    if not isinstance(value, dict):
        raise ValueError(
            f"{os.fspath(path)} holds {type(value).__name__} where an object "
            f"is wanted. {remedy}".rstrip()
        )
    return value


@contextlib.contextmanager
def naming(path: str | os.PathLike, remedy: str) -> Iterator[None]:
    """Names the file where an entry that the block reads is not as it must be.

    Args:
        path: of the file.
        remedy: what to do about it, as a sentence.

    Raises:
        ValueError: an entry is missing, or of another kind; names the file.
    """
    try:
        yield
    except _OF_ENTRIES as error:
        raise ValueError(
            f"{os.fspath(path)} is damaged: {type(error).__name__}: {error}. "
            f"{remedy}"
        ) from error


def parse(text: str | bytes, place: str, remedy: str = "") -> Any:
    """Returns what a text of JSON means.

    Args:
        text: the JSON.
        place: where it is from, for messages.
        remedy: what to do about it, as a sentence.

    Raises:
        ValueError: it is not JSON, or nested too deep for any use.
    """
    try:
        return json.loads(text)
    except RecursionError:
        problem = "its brackets are nested too deep"
    except ValueError as error:
        problem = f"{error}" if text.strip() else "it is empty"
    raise ValueError(f"{place} is not JSON: {problem}. {remedy}".rstrip())
