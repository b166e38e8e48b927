"""`metrics.jsonl`: one JSON object a line, for people and programs."""

from __future__ import annotations

import json
import math
import os
import pathlib
from typing import Any

from absl import logging

from mtssl_tf.files import json_file
from mtssl_tf.process import atomic_file

FILE = "metrics.jsonl"


class MetricsLog:
    """Appends to a run's metrics."""

    def __init__(self, workdir: pathlib.Path, resumed_step: int) -> None:
        """Opens the log, without lines from after the resumed step.

        A run that was killed had gone on for a while after its last
        checkpoint; it does so again.
        """
        path = workdir / FILE
        if path.exists():
            kept = [
                json.dumps(line)
                for line in load_metrics(workdir)
                if line["step"] <= resumed_step
            ]
            atomic_file.write_text(path, "".join(f"{line}\n" for line in kept))
        self._file = path.open("a", buffering=1)

    def write(self, line: dict[str, Any]) -> None:
        """Appends one line; NaN becomes null."""
        self._file.write(json.dumps(_without_nan(line)) + "\n")

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
    texts = path.read_text(errors="replace").split("\n")
    for number, text in enumerate(texts, start=1):
        try:
            line = json_file.parse(text, "")
        except ValueError:
            line = None
        if isinstance(line, dict) and isinstance(line.get("step"), int):
            lines.append(line)
        # A run that was killed leaves its last line torn.
        elif text.strip() and number < len(texts):
            logging.warning(
                "Left out line %d of %s: expected an object with a whole "
                "number as `step`, got %.60r.",
                number,
                path,
                text,
            )
    return lines


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
