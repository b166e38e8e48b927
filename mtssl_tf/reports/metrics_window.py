"""Means and rates of one task's steps since its last line in the log."""

from __future__ import annotations

from collections.abc import Mapping
import statistics
from typing import Any

from mtssl_tf.lazy_imports import keras


class MetricsWindow:
    """Collects steps.

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
        self.num_images = 0
        self.waited_s = 0.0
        self._step_s: list[float] = []
        self._values: dict[str, list[Any]] = {}

    @property
    def num_steps(self) -> int:
        return len(self._step_s)

    @property
    def elapsed_s(self) -> float:
        return sum(self._step_s)

    def add(
        self,
        values: Mapping[str, Any],
        num_images: int,
        waited_s: float,
        elapsed_s: float,
    ) -> None:
        """Adds one step; `values` are floats, or float32 [] still to come."""
        self.add_time(num_images, waited_s, elapsed_s)
        self.add_values(values)

    def add_time(
        self, num_images: int, waited_s: float, elapsed_s: float
    ) -> None:
        """Adds one step whose values are added by themselves."""
        self.num_images += num_images
        self.waited_s += waited_s
        self._step_s.append(elapsed_s)

    def add_values(self, values: Mapping[str, Any]) -> None:
        """Adds the values of one step, as `add` takes them."""
        for name, value in values.items():
            self._values.setdefault(name, []).append(value)

    def means(self) -> dict[str, float]:
        """Returns the mean of each value, without NaN."""
        return {
            name: float(mean_without_nan(keras.ops.stack(values)))
            for name, values in self._values.items()
        }

    def rates(self) -> dict[str, float]:
        """Returns speed and time."""
        return {
            "images_per_s": self.num_images / self.elapsed_s,
            "data_wait": self.waited_s / self.elapsed_s,
            "wall_s": self.elapsed_s,
        }

    def median_step_s(self, warm_up: int = 0) -> float:
        """Returns the median seconds of a step, but for the first ones."""
        return statistics.median(self._step_s[warm_up:] or self._step_s)


def sum_and_count(values: Any) -> Any:
    """Returns the sum of the values that are not NaN, and how many those are.

    Args:
        values: as `mean_without_nan` takes them.

    Returns:
        float32 [2], of the kind of Keras's back end.
    """
    ops = keras.ops
    values = ops.cast(values, "float32")
    has_say = ops.logical_not(ops.isnan(values))
    total = ops.sum(ops.where(has_say, values, ops.zeros_like(values)))
    return ops.stack([total, ops.sum(ops.cast(has_say, "float32"))])


def mean_without_nan(values: Any) -> Any:
    """Returns the mean of the values that are not NaN; NaN if none is.

    A metric is NaN where an example has no say.

    Args:
        values: float [n], a tensor or an array.

    Returns:
        float32 [], of the same kind as Keras's back end gives.
    """
    total, count = keras.ops.unstack(sum_and_count(values))
    return total / count
