"""Dataclasses of settings: their ranges, and `--set KEY=VALUE`.

A range is declared with the setting, by `ranged`, and looked at by `check`,
for what people type and for what stands in files.

Plain Python, so that a mistake is answered at once.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
import dataclasses
import math
import types
import typing
from typing import Any

_RANGE = "range"
_DECIDES = "decides"
_SEED_STOP = 2**31  # TensorFlow's stateless operations take int32
# ours: no setting means anything beyond, and what is computed of them stays
# within what numbers can be.
LARGEST = 2**53
_SMALLEST = 1e-30


@dataclasses.dataclass(frozen=True)
class Range:
    """Bounds of a number, or of each of several; None is no bound."""

    at_least: float | None = None
    at_most: float | None = None
    above: float | None = None
    below: float | None = None

    def holds(self, value: float) -> bool:
        """Returns whether a number is within the bounds."""
        return (
            (self.at_least is None or value >= self.at_least)
            and (self.at_most is None or value <= self.at_most)
            and (self.above is None or value > self.above)
            and (self.below is None or value < self.below)
        )

    def __str__(self) -> str:
        parts = (
            (">=", self.at_least),
            (">", self.above),
            ("<=", self.at_most),
            ("<", self.below),
        )
        return " and ".join(
            f"{sign} {bound:g}" for sign, bound in parts if bound is not None
        )


def ranged(
    default: Any,
    *,
    at_least: float | None = None,
    at_most: float | None = None,
    above: float | None = None,
    below: float | None = None,
) -> Any:
    """Returns a dataclass's field with a default and bounds."""
    bounds = Range(at_least, at_most, above, below)
    return dataclasses.field(default=default, metadata={_RANGE: bounds})


def deciding(default: Any, *others: str) -> Any:
    """Returns a dataclass's field on which those of other fields depend.

    Where it changes, the others go back to their defaults, and `--set` reads
    it first.
    """
    return dataclasses.field(default=default, metadata={_DECIDES: others})


def decides(settings_type: type, key: str) -> bool:
    """Says whether other fields depend on a dataclass's field."""
    fields = {each.name: each for each in dataclasses.fields(settings_type)}
    return key in fields and _DECIDES in fields[key].metadata


def seed(default: int = 0) -> Any:
    """Returns the field of a seed."""
    return ranged(default, at_least=0, below=_SEED_STOP)


def check(settings: Any) -> None:
    """Checks types and ranges of a dataclass, and of those in it.

    Lists stand for tuples, as JSON has them, and whole numbers for floats.

    Raises:
        ValueError: a value is of another type, not finite or out of range;
            names the setting.
    """
    kinds = typing.get_type_hints(type(settings))
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        kind = kinds[field.name]
        if not _is_of(value, kind):
            raise ValueError(
                f"{field.name} must be {_describe(kind)}, got {value!r}."
            )
        numbers = value if isinstance(value, (tuple, list)) else (value,)
        bounds = field.metadata.get(_RANGE)
        for number in numbers:
            if type(number) in (int, float):
                _check_size(field.name, number)
            if bounds and number is not None and not bounds.holds(number):
                raise ValueError(
                    f"{field.name} must be {bounds}, got {value!r}."
                )
        for each in numbers:
            if dataclasses.is_dataclass(each) and not isinstance(each, type):
                check(each)


def _check_size(name: str, number: float) -> None:
    if isinstance(number, float) and not math.isfinite(number):
        raise ValueError(f"{name} must be finite, got {number!r}.")
    if number and not _SMALLEST <= abs(number) <= LARGEST:
        # Thousands of digits are no message.
        raise ValueError(
            f"{name} must be 0, or between {_SMALLEST:g} and {LARGEST:g} in "
            f"size, got {str(number)[:40]}."
        )


def _is_of(value: Any, kind: Any) -> bool:
    for option in _options(kind):
        origin = typing.get_origin(option)
        if origin is tuple:
            if not isinstance(value, (tuple, list)):
                continue
            inner = typing.get_args(option)
            if inner[-1] is Ellipsis:
                inner = (inner[0],) * len(value)
            if len(inner) == len(value) and all(map(_is_of, value, inner)):
                return True
        elif option is float:
            if type(value) in (int, float):
                return True
        elif option in (int, bool, str):
            if type(value) is option:
                return True
        elif option is type(None):
            if value is None:
                return True
        elif not isinstance(option, type) or isinstance(value, option):
            return True  # a mapping, or a dataclass
    return False


def _describe(kind: Any) -> str:
    return " or ".join(
        str(option) if typing.get_origin(option) else option.__name__
        for option in _options(kind)
    )


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
    value = _read_field(type(settings), key, text)
    changed = dataclasses.replace(
        settings, **_undecided(settings, key, value), **{key: value}
    )
    check(changed)
    return changed


def replace_all(settings: Any, assignments: Sequence[str]) -> Any:
    """Returns a dataclass with some fields changed, all at once.

    Some values only fit together.

    Args:
        settings: the dataclass, with annotated types.
        assignments: 'key=value' each, with values as `read` takes them.

    Raises:
        ValueError: as `replace`, with the assignment where it is one's own.
    """
    changes = {}
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals:
            raise ValueError(f"--set {assignment!r} is not NAME=VALUE.")
        try:
            changes[key] = _read_field(type(settings), key, text)
        except ValueError as error:
            raise ValueError(f"--set {assignment!r}: {error}") from error
    changed = dataclasses.replace(settings, **changes)
    check(changed)
    return changed


def _read_field(settings_type: type, key: str, text: str) -> Any:
    kind = field_type(settings_type, key)
    value = read(text, kind)
    known = _plain_types(kind)
    if type(value) not in known:
        names = " or ".join(option.__name__ for option in known)
        raise ValueError(f"expected a value of type {names}, got {text!r:.80}.")
    return value


def _undecided(settings: Any, key: str, value: Any) -> dict[str, Any]:
    """Returns the defaults of all fields that depend on one that changes."""
    fields = {each.name: each for each in dataclasses.fields(settings)}
    if getattr(settings, key) == value:
        return {}
    others = fields[key].metadata.get(_DECIDES, ())
    return {name: fields[name].default for name in others}


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
    except (MemoryError, RecursionError, SyntaxError, TypeError, ValueError):
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
    if type(value) is not int:
        return value
    # `check` refuses what is not finite.
    return float(value) if abs(value) <= LARGEST else math.inf


def _options(kind: Any) -> tuple[Any, ...]:
    return (
        typing.get_args(kind) if isinstance(kind, types.UnionType) else (kind,)
    )


def _plain_types(kind: Any) -> tuple[type, ...]:
    return tuple(
        typing.get_origin(option) or option for option in _options(kind)
    )
