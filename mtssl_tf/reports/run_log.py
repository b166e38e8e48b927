"""All that a run writes down: `metrics.jsonl`, TensorBoard, a tracker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import pathlib
from typing import Any, Protocol

from absl import logging

from mtssl_tf.reports import metrics_log
from mtssl_tf.reports import metrics_record
from mtssl_tf.reports import tensorboard
from mtssl_tf.reports import tracker
from mtssl_tf.weighting import weighing

# The split of lines that are about no examples but the run itself.
HEALTH = "health"


class _Sink(Protocol):
    """Where scalars go."""

    def write_scalars(
        self, step: int, prefix: str, values: Mapping[str, Any]
    ) -> None: ...

    def close(self) -> None: ...


class RunLog:
    """Writes records, on one machine and on many.

    Attributes:
        board: TensorBoard's side, for pictures and the profile.
    """

    def __init__(self, workdir: pathlib.Path, num_done: int) -> None:
        """Goes on after so many steps of all tasks."""
        self._log = metrics_log.MetricsLog(workdir, num_done)
        self._workdir = workdir
        self.board = tensorboard.TensorBoardLog(workdir)
        self._sinks: list[_Sink] = [self.board]

    def describe(
        self, settings: Mapping[str, Any], figures: Sequence[str], track: str
    ) -> None:
        """Says once what the run is, so that runs can be compared.

        Args:
            settings: flat, by name.
            figures: the scalars, by TensorBoard's names, that say how good
                it has become.
            track: a tracker that gets all scalars too, as `tracker.check`
                takes it; "" is none.

        Raises:
            ValueError: the tracker cannot be used.
        """
        if track:
            self._sinks.append(
                tracker.TrackedRun(track, self._workdir, settings)
            )
        self.board.write_settings(settings, figures)

    def write(
        self,
        step: int,
        record: metrics_record.MetricsRecord,
        chance: Mapping[str, float],
    ) -> None:
        """Writes a task's record, with a blind guess's values beside it.

        Args:
            step: of all tasks.
            record: what is told.
            chance: of the task (`Task.chance`).
        """
        self._log.write(record.line(step, chance))
        scalars = {**record.values, **record.rates}
        if record.gpu_hours is not None:
            scalars[metrics_record.GPU_HOURS] = record.gpu_hours
        self._write_scalars(step, f"{record.task}/{record.split}", scalars)
        self._write_scalars(step, f"{record.task}/chance", chance)

    def write_event(
        self, step: int, name: str, values: Mapping[str, Any]
    ) -> None:
        """Writes what concerns the trunk and no task, as a probe does.

        Its name is the line's split as well: who reads of tasks passes it by.
        """
        self._log.write({"step": step, "split": name, name: dict(values)})
        self._write_scalars(step, name, values)

    def _write_scalars(
        self, step: int, prefix: str, values: Mapping[str, Any]
    ) -> None:
        for sink in self._sinks:
            sink.write_scalars(step, prefix, values)

    def write_health(
        self, step: int, kind: str, subject: str, message: str
    ) -> None:
        """Writes what is wrong with a run.

        Args:
            step: of all tasks.
            kind: of the trouble, one word for programs.
            subject: what has it: a task, two, the trunk.
            message: for people.
        """
        self._log.write(
            {
                "step": step,
                "split": HEALTH,
                "kind": kind,
                "subject": subject,
                "message": message,
            }
        )
        self.board.write_text(step, f"{HEALTH}/{kind}/{subject}", message)

    def write_shares(self, update: weighing.Update) -> None:
        """Writes new shares of the steps, and who has come to the least."""
        self.write_event(update.step, weighing.SHARES, update.shares)
        self.write_event(update.step, weighing.FIGURES, update.figures)
        for task, message in update.alarms.items():
            logging.warning("Step %d: %s", update.step, message)
            self.write_health(update.step, weighing.AT_LEAST, task, message)

    def go_back(self, step: int) -> None:
        """Drops the lines from after a step, which is gone on from again."""
        self._log.go_back(step)

    def lines_of(self, step: int) -> list[dict[str, Any]]:
        """Returns what `metrics.jsonl` says of the step that is at hand."""
        return self._log.lines_of(step)

    def sync(self) -> None:
        """Waits until `metrics.jsonl` is on disk.

        Before a checkpoint is: what was told before it is not told again.
        """
        self._log.sync()

    def close(self) -> None:
        """Closes the files."""
        self._log.close()
        for sink in self._sinks:
            sink.close()
