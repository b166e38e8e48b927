"""A group's lines for `metrics.jsonl`, and its part of a calibration."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from mtssl_tf.distribute import settings as settings_lib


class GroupReport:
    """Collects the steps of one task until they are reported."""

    def __init__(
        self, task: str, batch_size: int, settings: settings_lib.Settings
    ) -> None:
        self._task = task
        self._batch_size = batch_size
        self._settings = settings
        self._values: dict[str, list[tf.Tensor]] = {}
        self._waited_s: list[float] = []
        self._elapsed_s: list[float] = []

    def add(
        self, values: dict[str, tf.Tensor], waited_s: float, elapsed_s: float
    ) -> None:
        """Adds a step."""
        for name, value in values.items():
            self._values.setdefault(name, []).append(value)
        self._waited_s.append(waited_s)
        self._elapsed_s.append(elapsed_s)

    def is_due(self, step: int) -> bool:
        """Returns whether a line is to be written after this step."""
        if self._settings.is_calibration:
            return step % settings_lib.CALIBRATION_STEPS == 0
        return step % self._settings.config.train.log_every == 0

    def line(self, step: int) -> dict[str, Any]:
        """Returns what is collected, and starts anew."""
        means = {name: _mean(parts) for name, parts in self._values.items()}
        elapsed = sum(self._elapsed_s)
        warm = self._elapsed_s[settings_lib.CALIBRATION_WARM_UP :]
        line = {
            "task": self._task,
            "task_step": step,
            "split": "train",
            "loss": means.pop("loss"),
            "metrics": means,
            "images_per_s": len(self._elapsed_s) * self._batch_size / elapsed,
            "data_wait": sum(self._waited_s) / elapsed,
            "wall_s": elapsed,
            "seconds_per_step": float(np.median(warm or self._elapsed_s)),
        }
        self._values.clear()
        self._waited_s.clear()
        self._elapsed_s.clear()
        return line


def _mean(parts: list[tf.Tensor]) -> float:
    values = np.array([float(each) for each in parts])
    is_number = ~np.isnan(values)
    return float(values[is_number].mean()) if is_number.any() else float("nan")
