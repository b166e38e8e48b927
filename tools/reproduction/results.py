"""Numbers of evaluations that are there, by what made them."""

from __future__ import annotations

from collections.abc import Iterable
import dataclasses
import pathlib
from typing import Any

from evaluation import result as result_lib
from tools.reproduction import plan


@dataclasses.dataclass(frozen=True)
class MadeBy:
    """What made a number: those of two are never joined.

    Attributes:
        protocol: its id.
        code: digest of the code.
    """

    protocol: str
    code: str


def load(each: plan.Evaluation, out: pathlib.Path) -> dict[str, Any] | None:
    """Returns an evaluation's result, or None where there is none yet.

    Args:
        each: the evaluation.
        out: folder of the reproduction.
    """
    try:
        return result_lib.load_result(out / each.folder())
    except FileNotFoundError:
        return None


def made_by(record: dict[str, Any]) -> MadeBy:
    """Returns what made a result."""
    return MadeBy(record["protocol_id"], record.get("code", ""))


def values(
    evaluations: Iterable[plan.Evaluation], metric: str, out: pathlib.Path
) -> dict[MadeBy, dict[int, float]]:
    """Returns a metric of those evaluations that have a result.

    Args:
        evaluations: of several seeds.
        metric: key of the result's metrics.
        out: folder of the reproduction.

    Returns:
        what made them -> seed -> percent. A metric that is not finite, null in
        a result, is left out.
    """
    found: dict[MadeBy, dict[int, float]] = {}
    for each in evaluations:
        record = load(each, out)
        if record is not None:
            value = record["metrics"][metric]
            if value is not None:
                own = found.setdefault(made_by(record), {})
                own[each.training.seed] = value
    return found
