"""A group's records for the run's log, and its part of a calibration."""

from __future__ import annotations

import dataclasses
from typing import Any

import tensorflow as tf

from mtssl_tf.distribute import settings as settings_lib
from mtssl_tf.reports import metrics_record
from mtssl_tf.reports import metrics_window


class GroupReport:
    """Collects the steps of one task until they are reported."""

    def __init__(
        self, task: str, batch_size: int, settings: settings_lib.Settings
    ) -> None:
        self._task = task
        self._batch_size = batch_size
        self._settings = settings
        self._window = metrics_window.MetricsWindow()

    def add(
        self, values: dict[str, tf.Tensor], waited_s: float, elapsed_s: float
    ) -> None:
        """Adds a step."""
        self._window.add(values, self._batch_size, waited_s, elapsed_s)

    def is_due(self, step: int) -> bool:
        """Returns whether a record is to be sent after this step."""
        if self._settings.is_calibration:
            return step % settings_lib.CALIBRATION_STEPS == 0
        return step % self._settings.config.train.log_every == 0

    def request(self, step: int) -> dict[str, Any]:
        """Returns what tells the store of the steps collected; starts anew."""
        window = self._window
        median_s = window.median_step_s(settings_lib.CALIBRATION_WARM_UP)
        record = metrics_record.MetricsRecord(
            self._task,
            step,
            "train",
            window.means(),
            window.rates(),
        )
        window.clear()
        return {
            "op": "report",
            "record": dataclasses.asdict(record),
            "seconds_per_step": median_s,
        }
