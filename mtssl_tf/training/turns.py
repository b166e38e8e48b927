"""Whose turn it is in a run: by weights that stay, or by shares that move."""

from __future__ import annotations

from collections.abc import Mapping
import pathlib
from typing import Any

from absl import logging

from mtssl_tf import weighting
from mtssl_tf.training import half_batches
from mtssl_tf.training import run as run_lib
from mtssl_tf.training import run_directory
from mtssl_tf.training import schedule
from mtssl_tf.weighting import weighing as weighing_lib


class Turns:
    """Chooses tasks, and takes in what a rule of shares goes by.

    Attributes:
        weighing: the shares that move, for checkpoints; None where weights
            stay.
    """

    def __init__(self, run: run_lib.Run) -> None:
        """Takes a run at its start; a checkpoint may restore `weighing`."""
        self._weights = {
            name: state.task.config.weight for name, state in run.states.items()
        }
        self._since: Mapping[str, float] = {}
        self.weighing = run_lib.build_weighing(run)
        train = run.config.train
        self._halves: dict[str, half_batches.HalfBatches] = {}
        if weighting.measures_halves(train.weighting):
            self._halves = {
                name: half_batches.HalfBatches(
                    run.strategy,
                    state,
                    state.task.config.batch_size,
                    train.accumulate,
                )
                for name, state in run.states.items()
            }

    def begin(
        self,
        workdir: pathlib.Path,
        steps: Mapping[str, int],
        num_steps: int | None,
    ) -> None:
        """Goes on after these steps of each task.

        Args:
            workdir: run directory, which knows since when weights are so.
            steps: that each task has done.
            num_steps: in all, where that is known.

        Raises:
            OSError: the directory cannot be written.
            ValueError: what was noted there is damaged.
        """
        self._since = run_directory.load_start_of_weights(
            workdir, self._weights, steps
        )
        if num_steps is None or any(steps.values()):
            return
        planned = schedule.steps_after(num_steps, self._weights)
        for name in [name for name, count in planned.items() if not count]:
            logging.warning(
                "%s.weight=%g leaves %s no step of %d. Raise it, or leave the "
                "task out of --tasks.",
                name,
                self._weights[name],
                name,
                num_steps,
            )

    def next_task(self, steps: Mapping[str, int]) -> str:
        """Returns whose turn it is after these steps of each task."""
        return schedule.next_turn(
            steps, self._weights, self._since, self.weighing
        )

    def compare_halves(self, task: str, task_step: int, batch: Any) -> None:
        """Measures a batch's halves where a rule asks for it, now and then.

        Args:
            task: whose batch it is.
            task_step: its steps so far.
            batch: of the step that is about to be taken.
        """
        if self.weighing is None or task not in self._halves:
            return
        if weighing_lib.is_measured(task_step):
            cosine = self._halves[task].measure(batch)
            self.weighing.add_cosine(task, cosine)

    def add_step(self, task: str, loss: float) -> None:
        """Takes in the loss of a step."""
        if self.weighing is not None:
            self.weighing.add_step(task, loss)

    def are_due(self, step: int) -> bool:
        """Returns whether shares move after a step of all tasks."""
        return self.weighing is not None and self.weighing.is_due(step)

    def update(self, steps: Mapping[str, int]) -> weighing_lib.Update | None:
        """Moves the shares if that is due; all steps' losses were added."""
        return None if self.weighing is None else self.weighing.update(steps)
