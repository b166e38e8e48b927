"""What became of every variable when a checkpoint was loaded."""

from __future__ import annotations

import collections
from collections.abc import Collection
import dataclasses

from mtssl_tf.slim import names

_MAX_SHOWN = 5


@dataclasses.dataclass(frozen=True)
class LoadReport:
    """How the variables of a model and those of a checkpoint match.

    Attributes:
        matched: name to shape, of those loaded.
        missing: name to shape, of those the checkpoint lacks.
        left_over: name to (shape, reason), of those the model lacks.
    """

    matched: dict[str, tuple[int, ...]]
    missing: dict[str, tuple[int, ...]]
    left_over: dict[str, tuple[tuple[int, ...], str]]

    def summary(self) -> str:
        """A few lines: counts, and left-over variables by reason."""
        lines = [
            f"matched {len(self.matched)} variables, missing "
            f"{len(self.missing)}, left over {len(self.left_over)}"
        ]
        lines += [f"  missing: {_line(*item)}" for item in self.missing.items()]
        reasons = collections.Counter(
            reason for _, reason in self.left_over.values()
        )
        lines += [
            f"  left over: {count} x {reason}"
            for reason, count in reasons.most_common()
        ]
        return "\n".join(lines)

    def details(self) -> str:
        """One line a variable."""
        lines = [f"matched: {_line(*item)}" for item in self.matched.items()]
        lines += [f"missing: {_line(*item)}" for item in self.missing.items()]
        lines += [
            f"left over: {_line(name, shape)}: {reason}"
            for name, (shape, reason) in self.left_over.items()
        ]
        return "\n".join(lines)


def _line(name: str, shape: tuple[int, ...]) -> str:
    return f"{name} {list(shape)}"


def compare(
    wanted: names.Shapes,
    found: names.Shapes,
    scope: str,
    partial: Collection[str],
) -> LoadReport:
    """Matches a model's variables with a checkpoint's.

    Args:
        wanted: the model's, by TF-Slim's names.
        found: the checkpoint's.
        scope: of the trunk, in both.
        partial: variables or layers, without the scope, that may be missing
            or left over: "block3/unit_23" stands for all below it.

    Raises:
        ValueError: a shape differs; a variable is missing, or one that a
            trunk's features depend on is left over, and not in `partial`.
    """
    report = LoadReport(
        matched={n: s for n, s in wanted.items() if n in found},
        missing={n: s for n, s in wanted.items() if n not in found},
        left_over={
            name: (shape, names.why_left_over(name, scope))
            for name, shape in sorted(found.items())
            if name not in wanted
        },
    )
    _check_shapes(report.matched, found)
    asked_for = tuple(f"{scope}/{name.strip('/')}/" for name in partial)
    _check_partial("lacks", report.missing, asked_for)
    surplus = {
        name: shape
        for name, (shape, _) in report.left_over.items()
        if names.is_trunk_variable(name, scope)
    }
    _check_partial("has, and the trunk lacks,", surplus, asked_for)
    return report


def _check_shapes(wanted: names.Shapes, found: names.Shapes):
    wrong = [
        f"{name} is {list(found[name])}, expected {list(shape)}"
        for name, shape in wanted.items()
        if tuple(found[name]) != tuple(shape)
    ]
    if wrong:
        raise ValueError(
            f"{len(wrong)} variables have another shape than the trunk's: "
            f"{_shorten(wrong)}. Build the trunk with the checkpoint's width."
        )


def _check_partial(verb: str, shapes: names.Shapes, asked_for: tuple[str, ...]):
    wrong = [
        _line(name, shape)
        for name, shape in shapes.items()
        if not f"{name}/".startswith(asked_for)
    ]
    if wrong:
        raise ValueError(
            f"The checkpoint {verb} {len(wrong)} variables: {_shorten(wrong)}."
            " Take another trunk, or name them in `partial` to go without."
        )


def _shorten(items: list[str]) -> str:
    more = len(items) - _MAX_SHOWN
    shown = "; ".join(items[:_MAX_SHOWN])
    return f"{shown}; and {more} more" if more > 0 else shown
