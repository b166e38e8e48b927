"""The best checkpoint so far, by what can be measured: `--keep_best`.

It is a run directory of its own, `RUN/best`, which says in `best.json` by
what, how good and after which step it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import json
import math
import pathlib
from typing import Any

from absl import logging

from mtssl_tf.files import json_file
from mtssl_tf.frozen import rank
from mtssl_tf.reports import metrics_record
from mtssl_tf.training import snapshot

FOLDER = "best"
RECORD_FILE = "best.json"
# By what -> whether more of it is better.
_IS_MORE_BETTER = {"rankme": True, "loss": False, "probe": True}


class Best:
    """Keeps the best checkpoint of a run."""

    def __init__(
        self, workdir: pathlib.Path, by: str, tasks: Sequence[str]
    ) -> None:
        """Reads what an earlier start has kept.

        Args:
            workdir: the run directory.
            by: one of `train_settings.BESTS` but "".
            tasks: those that are judged, all of which `loss` is of.

        Raises:
            ValueError: what was kept is damaged, or no task is judged.
        """
        if by == "loss" and not tasks:
            raise ValueError(
                "--keep_best=loss goes by held-out examples, and none are "
                "held out. Name more pictures or clips, or choose "
                "--keep_best=rankme."
            )
        self._workdir = workdir
        self._by = by
        self._tasks = tuple(tasks)
        self._value: float | None = None
        self._step = 0
        path = workdir / FOLDER / RECORD_FILE
        if not path.is_file():
            return
        remedy = f"Remove {path.parent}: the best one is then of what follows."
        record = json_file.load_object(path, remedy)
        if record.get("by") == by:
            with json_file.naming(path, remedy):
                self._value = float(record["value"])
                self._step = int(record["step"])
        else:
            logging.warning(
                "%s is the best by %s; the first that is measured by %s takes "
                "its place.",
                path.parent,
                record.get("by"),
                by,
            )

    def is_better(self, lines: Sequence[Mapping[str, Any]]) -> bool:
        """Returns whether what was measured beats all before.

        Args:
            lines: of `metrics.jsonl`, of one step.
        """
        return self._beats(figure(lines, self._by, self._tasks))

    def keep(
        self, step: int, path: str, lines: Sequence[Mapping[str, Any]]
    ) -> None:
        """Keeps the checkpoint after a step, if it is the best.

        Args:
            step: of all tasks.
            path: of its checkpoint.
            lines: of `metrics.jsonl`, of that step.
        """
        value = figure(lines, self._by, self._tasks)
        if not self._beats(value):
            return
        target = self._workdir / FOLDER
        record = {"by": self._by, "value": value, "step": step}
        note = (RECORD_FILE, json.dumps(record, indent=2) + "\n")
        try:
            snapshot.keep(self._workdir, path, step, target, note)
        except OSError as error:
            logging.warning("The best checkpoint is not kept: %s.", error)
            return
        self._value, self._step = value, step
        logging.info(
            "Step %d is the best so far by %s (%.4g): kept as %s.",
            step,
            self._by,
            value,
            target,
        )

    def describe(self) -> str:
        """Returns a sentence on what is kept, for the run's end."""
        if self._value is None:
            return f" Nothing was measured that {FOLDER} could go by."
        return (
            f" The best by {self._by} ({self._value:.4g}) is step "
            f"{self._step}, kept as {self._workdir / FOLDER}."
        )

    def _beats(self, value: float) -> bool:
        if math.isnan(value):
            return False
        if self._value is None:
            return True
        if _IS_MORE_BETTER[self._by]:
            return value > self._value
        return value < self._value


def figure(
    lines: Sequence[Mapping[str, Any]], by: str, tasks: Sequence[str]
) -> float:
    """Returns how good a run is after a step, or NaN where nobody knows.

    Args:
        lines: of `metrics.jsonl`, of that step.
        by: 'rankme'; 'probe', the linear accuracy in percent; or 'loss', the
            held-out losses in parts of a blind guess's, the mean over tasks.
        tasks: all of which 'loss' is of.
    """
    of_split = {line["split"]: line for line in lines}
    if by == "rankme":
        return _number(of_split.get(rank.EVENT, {}), rank.EVENT, "rankme")
    if by == "probe":
        return _number(of_split.get("probe", {}), "probe", "linear_top1")
    losses = {
        line["task"]: line["loss"] / line["chance"]
        for line in lines
        if metrics_record.is_judgement(line) and line["loss"] is not None
    }
    if not losses or losses.keys() != set(tasks):
        return math.nan
    return sum(losses.values()) / len(losses)


def _number(line: Mapping[str, Any], event: str, name: str) -> float:
    value = line.get(event, {}).get(name)
    return math.nan if value is None else float(value)
