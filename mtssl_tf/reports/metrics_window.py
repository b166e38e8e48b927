"""Means and rates of one task's steps since its last line in the log."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np


class MetricsWindow:
    """Sums over steps.

    Attributes:
        num_steps: added since the last `clear`.
        num_images: examples in them.
        waited_s: time they waited for data.
        elapsed_s: time they took in all.
    """

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Starts anew."""
        self.num_steps = 0
        self.num_images = 0
        self.waited_s = 0.0
        self.elapsed_s = 0.0
        self._values: dict[str, list[float]] = {}

    def add(
        self,
        values: Mapping[str, float],
        num_images: int,
        waited_s: float,
        elapsed_s: float,
    ) -> None:
        """Adds one step."""
        self.num_steps += 1
        self.num_images += num_images
        self.waited_s += waited_s
        self.elapsed_s += elapsed_s
        for name, value in values.items():
            self._values.setdefault(name, []).append(value)

    def means(self) -> dict[str, float]:
        """Returns the mean of each value, without NaN."""
        return {
            name: float(np.nanmean(values))
            if not np.isnan(values).all()
            else float("nan")
            for name, values in self._values.items()
        }

    def rates(self) -> dict[str, float]:
        """Returns speed and time."""
        return {
            "images_per_s": self.num_images / self.elapsed_s,
            "data_wait": self.waited_s / self.elapsed_s,
            "wall_s": self.elapsed_s,
        }
