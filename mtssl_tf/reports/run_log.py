"""What groups report, in `metrics.jsonl` and for TensorBoard."""

from __future__ import annotations

from collections.abc import Mapping
import pathlib
from typing import Any

from mtssl_tf.reports import metrics_log
from mtssl_tf.reports import tensorboard
from mtssl_tf.tasks import base


class RunLog:
    """Writes lines of all groups."""

    def __init__(self, workdir: pathlib.Path, num_done: int) -> None:
        """Goes on after so many steps of all tasks."""
        self._log = metrics_log.MetricsLog(workdir, num_done)
        self._board = tensorboard.TensorBoardLog(workdir)

    def write(
        self, step: int, task: base.Task, line: Mapping[str, Any]
    ) -> None:
        """Writes a group's line, with the task's chance beside it.

        Args:
            step: of all tasks.
            task: the group's.
            line: as `GroupReport` gives it.
        """
        chance = task.chance()
        others = {k: v for k, v in chance.items() if k != "loss"}
        self._log.write(
            {
                "step": step,
                **line,
                "chance": chance["loss"],
                "metrics_chance": others,
            }
        )
        self._board.write_scalars(
            step,
            f"{task.name}/train",
            {"loss": line["loss"], **line["metrics"]},
        )
        self._board.write_scalars(step, f"{task.name}/chance", chance)

    def close(self) -> None:
        """Closes the files."""
        self._log.close()
        self._board.close()
