"""Numbers of evaluations that are there, by what made them."""

from __future__ import annotations

from collections.abc import Iterable
import pathlib
from typing import Any

from evaluation import result as result_lib
from tools.reproduction import plan

# Protocol and digest of the code: numbers of two are never joined.
MadeBy = tuple[str, str]


def values(
    evaluations: Iterable[plan.Evaluation], metric: str, out: pathlib.Path
) -> dict[MadeBy, dict[int, float]]:
    """Returns a metric of those evaluations that have a result.

    Args:
        evaluations: of several seeds.
        metric: key of the result's metrics.
        out: folder of the reproduction.

    Returns:
        what made them -> seed -> percent.
    """
    found: dict[MadeBy, dict[int, float]] = {}
    for each in evaluations:
        record = _load(out / each.folder())
        if record is not None:
            made_by = (record["protocol_id"], record.get("code", ""))
            value = record["metrics"][metric]
            found.setdefault(made_by, {})[each.training.seed] = value
    return found


def _load(folder: pathlib.Path) -> dict[str, Any] | None:
    try:
        return result_lib.load_result(folder)
    except FileNotFoundError:
        return None
