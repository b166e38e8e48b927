"""`metrics.jsonl`: one JSON object a line, for people and programs."""

from __future__ import annotations

import json
import math
import os
import pathlib
from typing import Any, TextIO

from absl import logging

from mtssl_tf.files import json_file
from mtssl_tf.process import atomic_file
from mtssl_tf.reports import metrics_record

FILE = "metrics.jsonl"
_STEP_STOP = 2**63  # as arrays and TensorBoard have them


class MetricsLog:
    """Appends to a run's metrics."""

    def __init__(self, workdir: pathlib.Path, resumed_step: int) -> None:
        """Opens the log, without lines from after the resumed step.

        A run that was killed had gone on for a while after its last
        checkpoint; it does so again.
        """
        self._path = workdir / FILE
        self._latest, self._file = self._open(resumed_step)

    def lines_of(self, step: int) -> list[dict[str, Any]]:
        """Returns the lines of a step that none of a later one follows."""
        return [line for line in self._latest if line["step"] == step]

    def write(self, line: dict[str, Any]) -> None:
        """Appends one line; NaN becomes null."""
        line = _without_nan(line)
        if self._latest and self._latest[0]["step"] != line["step"]:
            self._latest = []
        self._latest.append(line)
        self._file.write(json.dumps(line) + "\n")

    def go_back(self, step: int) -> None:
        """Drops the lines from after a step, which is gone on from again."""
        self._file.close()
        self._latest, self._file = self._open(step)

    def _open(self, last_step: int) -> tuple[list[dict[str, Any]], TextIO]:
        """Returns the lines of the last step, and the file to go on with."""
        latest = []
        if self._path.exists():
            kept = cut(self._path, self._path, last_step)
            latest = [each for each in kept if each["step"] == last_step]
        return latest, self._path.open("a", buffering=1)

    def sync(self) -> None:
        """Waits until what was written is on disk."""
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


def load_metrics(workdir: str | os.PathLike) -> list[dict[str, Any]]:
    """Returns the lines of a run's metrics; names in the log what is none.

    Raises:
        FileNotFoundError: there is no such file.
    """
    path = pathlib.Path(workdir) / FILE
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} is missing. Name the --workdir of a training run."
        )
    lines = []
    texts = path.read_text("utf-8-sig", "replace").split("\n")
    for number, text in enumerate(texts, start=1):
        try:
            line = json_file.parse(text, "")
        except ValueError:
            line = None
        if _is_line(line):
            lines.append(line)
        # A run that was killed leaves its last line torn.
        elif text.strip() and number < len(texts):
            logging.warning(
                "Left out line %d of %s: expected an object with a whole "
                "number as `step` and a word as `split`, got %.60r.",
                number,
                path,
                text,
            )
    return lines


def load_mixes(
    workdir: str | os.PathLike, last_step: int | None = None
) -> dict[str, list[float]]:
    """Returns the mix that each task had last.

    Args:
        workdir: of a run.
        last_step: by which; None is the end.

    Raises:
        FileNotFoundError: as `load_metrics`.
    """
    mixes: dict[str, list[float]] = {}
    for line in load_metrics(workdir):
        mix = line.get(metrics_record.MIXES)
        if isinstance(mix, dict) and (
            last_step is None or line["step"] <= last_step
        ):
            mixes |= mix
    return mixes


def cut(
    path: pathlib.Path, target: pathlib.Path, last_step: int
) -> list[dict[str, Any]]:
    """Writes a log without what came after a step; returns what is in it.

    Args:
        path: of the log.
        target: of what is written, in its place or elsewhere.
        last_step: of all tasks.
    """
    lines = load_metrics(path.parent)
    kept = [line for line in lines if line["step"] <= last_step]
    if lines and not last_step and target == path:
        logging.warning(
            "%s goes to step %d, and there is no checkpoint to go on from: "
            "the run starts over, and its lines go.",
            path,
            lines[-1]["step"],
        )
    text = "".join(f"{json.dumps(line)}\n" for line in kept)
    atomic_file.write_text(target, text)
    return kept


def _is_line(line: Any) -> bool:
    return (
        isinstance(line, dict)
        and type(line.get("step")) is int
        and 0 <= line["step"] < _STEP_STOP
        and isinstance(line.get("split"), str)
    )


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
