"""A task's measure as SVG: training, held-out, and a blind guess's.

Colours are the page's (`style.css`), so that they follow light and dark.
"""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses
import itertools

from mtssl_tf.pages import axes as axes_lib
from mtssl_tf.pages import task_record

# ours, all of them.
_ROOM = 0.08  # of the height, above the highest and below the lowest
# Of a blind guess's, that the axis spans at least: less would make
# mountains of noise.
_MIN_SPAN = 0.3
# What lies above so many times a blind guess's is drawn at the top: a
# run that diverged once would hide all else.
_CEILING = 2.0
_SMOOTH_OVER = 25  # parts of a run that a mean goes over


@dataclasses.dataclass(frozen=True)
class Dot:
    """A held-out value; `is_above` where it is off the top."""

    x: float
    y: float
    text: str
    is_above: bool


@dataclasses.dataclass(frozen=True)
class Curve:
    """What the template draws, in units of the SVG.

    Attributes:
        raw: 'x,y x,y ...' of the training values as they were logged.
        smooth: the same of their running mean.
        dots: held-out values.
        chance: y of a blind guess's.
        x_ticks: steps.
        y_ticks: values.
        is_cut: whether some training values are off the top.
    """

    raw: str
    smooth: str
    dots: tuple[Dot, ...]
    chance: float
    x_ticks: tuple[axes_lib.Tick, ...]
    y_ticks: tuple[axes_lib.Tick, ...]
    is_cut: bool


def draw(measure: task_record.Measure, last_step: int) -> Curve:
    """Returns the curve of a measure, over the steps of the whole run."""
    values = [value for _, value in (*measure.training, *measure.held_out)]
    axes = axes_lib.Axes(last_step, *_range(values, measure.chance))
    return Curve(
        raw=axes.line(axes_lib.thinned(measure.training)),
        smooth=axes.line(axes_lib.thinned(smoothed(measure.training))),
        dots=tuple(
            Dot(
                axes.x(step),
                axes.y(value),
                f"step {step:,}: held out {value:.3f}",
                value > axes.top,
            )
            for step, value in measure.held_out
        ),
        chance=axes.y(measure.chance),
        x_ticks=axes.x_ticks(),
        y_ticks=axes.y_ticks(),
        is_cut=any(value > axes.top for _, value in measure.training),
    )


def smoothed(
    points: Sequence[tuple[float, float]],
) -> list[tuple[float, float]]:
    """Returns each point with the mean of those around it.

    Over a share of the whole, and less at the ends, so that it is centred
    everywhere.
    """
    reach = len(points) // (2 * _SMOOTH_OVER)
    sums = [0.0, *itertools.accumulate(value for _, value in points)]
    means = []
    for index, (step, _) in enumerate(points):
        own = min(reach, index, len(points) - 1 - index)
        first, end = index - own, index + own + 1
        means.append((step, (sums[end] - sums[first]) / (end - first)))
    return means


def _range(values: Sequence[float], chance: float) -> tuple[float, float]:
    """Returns the lowest and the highest value that is drawn."""
    shown = [min(value, _CEILING * chance) for value in (*values, chance)]
    low, high = min(shown), max(shown)
    span = max(high - low, _MIN_SPAN * chance)
    middle = (high + low) / 2
    reach = (0.5 + _ROOM) * span
    return max(0.0, middle - reach), middle + reach
