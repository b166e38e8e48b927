"""All that a run writes down: `metrics.jsonl` and TensorBoard's files."""

from __future__ import annotations

from collections.abc import Mapping
import pathlib
from typing import Any

from mtssl_tf.reports import metrics_log
from mtssl_tf.reports import metrics_record
from mtssl_tf.reports import tensorboard

# The split of lines that are about no examples but the run itself.
HEALTH = "health"


class RunLog:
    """Writes records, on one machine and on many.

    Attributes:
        board: TensorBoard's side, for pictures and the profile.
    """

    def __init__(self, workdir: pathlib.Path, num_done: int) -> None:
        """Goes on after so many steps of all tasks."""
        self._log = metrics_log.MetricsLog(workdir, num_done)
        self.board = tensorboard.TensorBoardLog(workdir)

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
        self.board.write_scalars(step, f"{record.task}/{record.split}", scalars)
        self.board.write_scalars(step, f"{record.task}/chance", chance)

    def write_event(
        self, step: int, name: str, values: Mapping[str, Any]
    ) -> None:
        """Writes what concerns the trunk and no task, as a probe does.

        Its name is the line's split as well: who reads of tasks passes it by.
        """
        self._log.write({"step": step, "split": name, name: dict(values)})
        self.board.write_scalars(step, name, values)

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

    def sync(self) -> None:
        """Waits until `metrics.jsonl` is on disk.

        Before a checkpoint is: what was told before it is not told again.
        """
        self._log.sync()

    def close(self) -> None:
        """Closes the files."""
        self._log.close()
        self.board.close()
