"""Who had which share of the steps over time, where a rule has moved them."""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses

from mtssl_tf.pages import axes
from mtssl_tf.pages import lines
from mtssl_tf.pages import run_record
from mtssl_tf.pages import tables_record


@dataclasses.dataclass(frozen=True)
class SharesChart:
    """What the template draws.

    Attributes:
        shown: its words.
        drawn: its lines.
    """

    shown: tables_record.Chart
    drawn: lines.Drawing


def draw(run: run_record.RunRecord, rule: str) -> SharesChart | None:
    """Returns the chart; None where shares never moved.

    Args:
        run: the run.
        rule: what moved them, for the words.
    """
    if not run.shares:
        return None
    chart = tables_record.Chart(
        title=f"Shares of the steps, by {rule.replace('_', ' ')}",
        about="Each share holds until the next is set. Where nobody takes "
        "turns, on a cluster, it scales the rate of the task's steps of the "
        "trunk.",
        x_title="steps",
        lines=tuple(
            tables_record.Line(
                f"{task.replace('_', ' ')} {points[-1][1]:.0%}",
                tuple(axes.thinned(_stairs(points, run.step))),
            )
            for task, points in _by_task(run.shares).items()
        ),
        guess=None,
    )
    drawn = lines.draw(chart)
    # Dots would say that there was something between two of them.
    bare = tuple(dataclasses.replace(line, dots=()) for line in drawn.lines)
    return SharesChart(chart, dataclasses.replace(drawn, lines=bare))


def _by_task(
    shares: tuple[tuple[int, Mapping[str, float]], ...],
) -> dict[str, list[tuple[int, float]]]:
    found: dict[str, list[tuple[int, float]]] = {}
    for step, by_task in shares:
        for task, share in by_task.items():
            found.setdefault(task, []).append((step, share))
    return found


def _stairs(
    points: list[tuple[int, float]], last_step: int
) -> list[tuple[float, float]]:
    """Returns the points with the corners of a line that holds its height."""
    ends = [step for step, _ in points[1:]] + [last_step]
    stairs: list[tuple[float, float]] = []
    for (step, share), end in zip(points, ends):
        stairs += [(step, share), (end, share)]
    return stairs
