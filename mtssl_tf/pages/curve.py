"""A task's measure as SVG: training, held-out, and a blind guess's.

Colours are the page's (`style.css`), so that they follow light and dark.
"""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses
import itertools
import math

from mtssl_tf.pages import task_record

# ours, all of them; units of the SVG, about pixels on a laptop.
WIDTH, HEIGHT = 420, 250
LEFT, RIGHT, TOP, BOTTOM = 44, 24, 12, 34
_ROOM = 0.08  # of the height, above the highest and below the lowest
# Of a blind guess's, that the axis spans at least: less would make
# mountains of noise.
_MIN_SPAN = 0.3
# What lies above so many times a blind guess's is drawn at the top: a
# run that diverged once would hide all else.
_CEILING = 2.0
_MAX_POINTS = 400  # of a line; a long run has logged more
_SMOOTH_OVER = 25  # parts of a run that a mean goes over
_NUM_TICKS = 4
_ROUNDING = 1e-9


@dataclasses.dataclass(frozen=True)
class Tick:
    """A number at an axis, `at` its place."""

    at: float
    text: str


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
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    is_cut: bool


class _Axes:
    """From steps and values to places."""

    def __init__(self, last_step: int, bottom: float, top: float) -> None:
        self.last_step = max(last_step, 1)
        self.bottom, self.top = bottom, top

    def x(self, step: float) -> float:
        share = step / self.last_step
        return round(LEFT + share * (WIDTH - LEFT - RIGHT), 1)

    def y(self, value: float) -> float:
        share = (value - self.bottom) / (self.top - self.bottom)
        share = min(max(share, 0.0), 1.0)
        return round(HEIGHT - BOTTOM - share * (HEIGHT - BOTTOM - TOP), 1)

    def line(self, points: Sequence[tuple[float, float]]) -> str:
        return " ".join(f"{self.x(x):g},{self.y(y):g}" for x, y in points)


def draw(measure: task_record.Measure, last_step: int) -> Curve:
    """Returns the curve of a measure, over the steps of the whole run."""
    values = [value for _, value in (*measure.training, *measure.held_out)]
    axes = _Axes(last_step, *_range(values, measure.chance))
    return Curve(
        raw=axes.line(thinned(measure.training)),
        smooth=axes.line(thinned(smoothed(measure.training))),
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
        x_ticks=tuple(
            Tick(axes.x(step), f"{step:,.0f}")
            for step in ticks(0, axes.last_step)
        ),
        y_ticks=tuple(
            Tick(axes.y(value), f"{value:g}")
            for value in ticks(axes.bottom, axes.top)
        ),
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


def thinned(
    points: Sequence[tuple[float, float]],
) -> Sequence[tuple[float, float]]:
    """Returns at most some hundred points, the last one among them."""
    spacing = math.ceil(len(points) / _MAX_POINTS) or 1
    return points[::-1][::spacing][::-1]


def _range(values: Sequence[float], chance: float) -> tuple[float, float]:
    """Returns the lowest and the highest value that is drawn."""
    shown = [min(value, _CEILING * chance) for value in (*values, chance)]
    low, high = min(shown), max(shown)
    span = max(high - low, _MIN_SPAN * chance)
    middle = (high + low) / 2
    reach = (0.5 + _ROOM) * span
    return max(0.0, middle - reach), middle + reach


def ticks(bottom: float, top: float) -> list[float]:
    """Returns round numbers between two: multiples of 1, 2 or 5."""
    rough = (top - bottom) / _NUM_TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    spacing = next(n * power for n in (1, 2, 5, 10) if n * power >= rough)
    # An end that is round itself is one of them, whatever its last bits.
    first = math.ceil(bottom / spacing - _ROUNDING)
    last = math.floor(top / spacing + _ROUNDING)
    return [round(n * spacing, 10) for n in range(first, last + 1)]
