"""Several lines over one axis, as SVG: Figure 3, and losses side by side."""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses

from mtssl_tf.pages import axes as axes_lib
from mtssl_tf.pages import tables_record

_ROOM = 0.06  # ours: of the height, above the highest and below the lowest
_LEAST = 1e-6  # that the axis spans, where all values are one


@dataclasses.dataclass(frozen=True)
class DrawnLine:
    """A line: `points` as SVG has them, and where its dots are."""

    label: str
    points: str
    dots: tuple[tuple[float, float, str], ...]


@dataclasses.dataclass(frozen=True)
class Drawing:
    """What the template draws, in units of the SVG.

    Attributes:
        lines: in the chart's order.
        guess: y of a blind guess's; None where there is none.
        x_ticks: along the foot.
        y_ticks: along the side.
    """

    lines: tuple[DrawnLine, ...]
    guess: float | None
    x_ticks: tuple[axes_lib.Tick, ...]
    y_ticks: tuple[axes_lib.Tick, ...]


def draw(chart: tables_record.Chart) -> Drawing:
    """Returns a chart's drawing."""
    values = [y for line in chart.lines for _, y in line.points]
    if chart.guess is not None:
        values.append(chart.guess)
    axes = axes_lib.Axes(
        max(x for line in chart.lines for x, _ in line.points), *_range(values)
    )
    return Drawing(
        tuple(
            DrawnLine(
                line.label,
                axes.line(line.points),
                tuple(
                    (axes.x(x), axes.y(y), f"{line.label}, {x:.3g}: {y:.4g}")
                    for x, y in line.points
                ),
            )
            for line in chart.lines
        ),
        None if chart.guess is None else axes.y(chart.guess),
        axes.x_ticks(),
        axes.y_ticks(),
    )


def _range(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    room = _ROOM * max(high - low, _LEAST)
    return low - room, high + room
