"""`--set KEY=VALUE`: texts that people type as values of dataclass fields.

Plain Python, so that a mistake is answered at once.
"""

from __future__ import annotations

import ast
import dataclasses
import types
import typing
from typing import Any


def replace(settings: Any, key: str, text: str) -> Any:
    """Returns a dataclass with one field changed.

    Args:
        settings: the dataclass, with annotated types.
        key: name of the field.
        text: as `read` takes it.

    Raises:
        ValueError: there is no such field, the value is of another type, or
            the dataclass refuses it.
    """
    kind = field_type(type(settings), key)
    value = read(text, kind)
    known = _plain_types(kind)
    if type(value) not in known:
        names = " or ".join(option.__name__ for option in known)
        raise ValueError(f"expected a value of type {names}, got {text!r}.")
    return dataclasses.replace(settings, **{key: value})


def field_type(settings_type: type, key: str) -> Any:
    """Returns the annotated type of a dataclass's field.

    Raises:
        ValueError: there is no such field; lists the known ones.
    """
    kinds = typing.get_type_hints(settings_type)
    known = [field.name for field in dataclasses.fields(settings_type)]
    if key not in known:
        raise ValueError(
            f"expected the name of a setting; there is no setting {key!r}. "
            f"Known: {', '.join(known)}."
        )
    return kinds[key]


def read(text: str, kind: Any) -> Any:
    """Returns the value that a text spells where a type is wanted.

    Values are spelled as in Python. Besides, `true` and `false` may be written
    small, a tuple without parentheses (`480,576`, `480`, or nothing), and a
    whole number where a float is wanted.

    Args:
        text: what was typed.
        kind: the annotated type, such as `tuple[int, ...] | None`.

    Returns:
        The value, or the text where it spells none. It may be of another
        type than `kind`: who takes it can say best what was expected.
    """
    if kind is str:
        return text
    value = _literal(text)
    for option in _options(kind):
        if typing.get_origin(option) is tuple and value is not None:
            return _as_tuple(text, value, option)
        if option is float:
            value = _as_float(value)
    return value


def _literal(text: str) -> Any:
    spelled = {"true": "True", "false": "False"}.get(text.strip().lower(), text)
    try:
        return ast.literal_eval(spelled.strip())
    except (ValueError, SyntaxError, TypeError):
        return text


def _as_tuple(text: str, value: Any, kind: Any) -> Any:
    if not text.strip():
        return ()
    if isinstance(value, str):
        return value  # no literal: refused by whoever takes it
    values = value if isinstance(value, (tuple, list)) else (value,)
    if float in typing.get_args(kind):
        return tuple(_as_float(each) for each in values)
    return tuple(values)


def _as_float(value: Any) -> Any:
    return float(value) if type(value) is int else value


def _options(kind: Any) -> tuple[Any, ...]:
    return (
        typing.get_args(kind) if isinstance(kind, types.UnionType) else (kind,)
    )


def _plain_types(kind: Any) -> tuple[type, ...]:
    return tuple(
        typing.get_origin(option) or option for option in _options(kind)
    )
