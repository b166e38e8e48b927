"""The axes of a picture in SVG: from numbers to places, with round ticks."""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses
import math

# ours, all of them; units of the SVG, about pixels on a laptop.
WIDTH, HEIGHT = 420, 250
LEFT, RIGHT, TOP, BOTTOM = 44, 24, 12, 34
_MAX_POINTS = 400  # of a line; a long run has logged more
_NUM_TICKS = 4
_ROUNDING = 1e-9


@dataclasses.dataclass(frozen=True)
class Tick:
    """A number at an axis, `at` its place."""

    at: float
    text: str


class Axes:
    """From 0 to `last` at the foot, from `bottom` to `top` at the side."""

    def __init__(self, last: float, bottom: float, top: float) -> None:
        self.last = last or 1.0
        self.bottom, self.top = bottom, top

    def x(self, value: float) -> float:
        """Returns a value's place along the foot."""
        share = value / self.last
        return round(LEFT + share * (WIDTH - LEFT - RIGHT), 1)

    def y(self, value: float) -> float:
        """Returns a value's place along the side; at an end if beyond it."""
        share = (value - self.bottom) / (self.top - self.bottom)
        share = min(max(share, 0.0), 1.0)
        return round(HEIGHT - BOTTOM - share * (HEIGHT - BOTTOM - TOP), 1)

    def line(self, points: Sequence[tuple[float, float]]) -> str:
        """Returns 'x,y x,y ...'."""
        return " ".join(f"{self.x(x):g},{self.y(y):g}" for x, y in points)

    def x_ticks(self) -> tuple[Tick, ...]:
        """Returns round numbers along the foot."""
        values = ticks(0, self.last)
        return tuple(Tick(self.x(value), f"{value:,g}") for value in values)

    def y_ticks(self) -> tuple[Tick, ...]:
        """Returns round numbers along the side."""
        values = ticks(self.bottom, self.top)
        return tuple(Tick(self.y(value), f"{value:g}") for value in values)


def thinned(
    points: Sequence[tuple[float, float]],
) -> Sequence[tuple[float, float]]:
    """Returns at most some hundred points, the last one among them."""
    spacing = math.ceil(len(points) / _MAX_POINTS) or 1
    return points[::-1][::spacing][::-1]


def ticks(bottom: float, top: float) -> list[float]:
    """Returns round numbers between two: multiples of 1, 2 or 5."""
    rough = (top - bottom) / _NUM_TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    spacing = next(n * power for n in (1, 2, 5, 10) if n * power >= rough)
    # An end that is round itself is one of them, whatever its last bits.
    first = math.ceil(bottom / spacing - _ROUNDING)
    last = math.floor(top / spacing + _ROUNDING)
    return [round(n * spacing, 10) for n in range(first, last + 1)]
