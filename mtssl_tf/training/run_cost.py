"""What a run on one machine has cost so far, and when a snapshot is due.

With a table (`cost_table.py`) both follow from the steps alone. Without one
the run's own first steps are measured, waiting for each, and the table that
comes of it is kept in the run directory; until then there is no cost.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
import pathlib

from absl import logging

from mtssl_tf.training import cost_table
from mtssl_tf.training import devices
from mtssl_tf.training import gpu_hours
from mtssl_tf.training import run as run_lib
from mtssl_tf.training import run_directory
from mtssl_tf.training import snapshot


class RunCost:
    """Counts GPU hours."""

    def __init__(
        self,
        workdir: pathlib.Path,
        run: run_lib.Run,
        steps: Mapping[str, int],
    ) -> None:
        """Goes on after so many steps of each task.

        Args:
            workdir: the run directory.
            run: as it trains.
            steps: that each task has done.

        Raises:
            OSError: the table is missing, or cannot be kept.
            ValueError: it is damaged, or lacks a task.
        """
        self._workdir, self._run = workdir, run
        self._every = run.config.train.snapshot_every
        self._prices = cost_table.find(workdir, run.config)
        self._measured: dict[str, list[float]] = {name: [] for name in steps}
        self._num_passed = 0
        self._note_passed(self.hours(steps))

    def is_measured(self, task: str) -> bool:
        """Returns whether a step's seconds are wanted: to be waited for."""
        is_enough = len(self._measured[task]) >= gpu_hours.NUM_MEASURED
        return self._prices is None and not is_enough

    def add_step(self, task: str, seconds: float) -> None:
        """Takes note of what a step took, where that is wanted."""
        if not self.is_measured(task):
            return
        self._measured[task].append(seconds)
        if any(map(self.is_measured, self._measured)):
            return
        num_gpus = self._run.strategy.num_replicas_in_sync  # 1 without any
        medians = {
            name: num_gpus * gpu_hours.median_of_measured(taken)
            for name, taken in self._measured.items()
        }
        self._prices = gpu_hours.GpuHours(medians)
        cost_table.save(
            self._workdir / run_directory.SECONDS_FILE,
            self._run.config,
            devices.describe(),
            medians,
        )
        logging.info(
            "A step takes, in GPU seconds: %s.",
            ", ".join(f"{name} {each:.3g}" for name, each in medians.items()),
        )

    def hours(self, steps: Mapping[str, int]) -> float | None:
        """Returns what steps of each task cost; None while it is unknown."""
        return None if self._prices is None else self._prices.of(steps)

    def keep_snapshot_if_due(
        self,
        steps: Mapping[str, int],
        save: Callable[[pathlib.Path], object],
    ) -> None:
        """Keeps the run as it is where its cost has just passed a multiple.

        Args:
            steps: that each task has done.
            save: writes a checkpoint into a run directory.

        Raises:
            OSError: it cannot be written.
        """
        hours = self.hours(steps)
        if hours is None or not self._note_passed(hours):
            return
        snapshot.keep_at_cost(self._workdir, hours, sum(steps.values()), save)

    def _note_passed(self, hours: float | None) -> bool:
        if hours is None or not self._every:
            return False
        before = self._num_passed
        self._num_passed = gpu_hours.num_passed(hours, self._every)
        return self._num_passed > before
