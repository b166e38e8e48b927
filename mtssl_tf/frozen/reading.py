"""Which units of a trunk are read: one of them, or a mix."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class Reading:
    """Units and their weights.

    Attributes:
        name: of the unit, or of the mix.
        weights: (unit, its factor) in depth order.
    """

    name: str
    weights: tuple[tuple[str, float], ...]

    @property
    def is_mix(self) -> bool:
        """Whether more than one unit is read, so that they need one size."""
        return len(self.weights) > 1

    def apply(self, units: Mapping[str, Any]) -> Any:
        """Returns what is read: of float [B, h, w, C] each, one such."""
        if not self.is_mix:
            ((name, _),) = self.weights
            return units[name]
        terms = [units[name] * weight for name, weight in self.weights]
        return sum(terms[1:], terms[0])


def of_unit(name: str) -> Reading:
    """Returns the reading of one unit."""
    return Reading(name, ((name, 1.0),))


def of_mix(
    task: str, weights: Sequence[float], unit_names: Sequence[str]
) -> Reading:
    """Returns the reading of a task's lasso mix.

    Args:
        task: its name.
        weights: N factors in depth order.
        unit_names: N names in depth order.
    """
    pairs = zip(unit_names, map(float, weights), strict=True)
    return Reading(mix_name(task), tuple(pairs))


def mix_name(task: str) -> str:
    """Returns the name of a task's mix."""
    return f"lasso_{task}"
