"""`store/status.json`: where a run stands, for the launcher and for people."""

from __future__ import annotations

from collections.abc import Mapping
import json
import pathlib
from typing import Any

from mtssl_tf.distribute import settings as settings_lib
from mtssl_tf.process import atomic_file
from mtssl_tf.reports import metrics_record

FILE = "status.json"
_FOLDER = "store"


class RunStatus:
    """Writes the file; the first shard does so every second."""

    def __init__(self, settings: settings_lib.Settings) -> None:
        self._path = status_path(settings.workdir)
        self._num_steps = settings.num_steps()
        self._tasks: dict[str, dict[str, float]] = {}

    def steps_before(self) -> int:
        """Returns how far the run was when it was last seen."""
        status = load_status(self._path)
        # A run that ended in good order has saved everything.
        return 0 if status.get("is_over", True) else status["step"]

    def note(self, record: metrics_record.MetricsRecord) -> None:
        """Takes over what a group has reported."""
        told = {**record.values, **record.rates}
        self._tasks[record.task] = {
            key: told[key] for key in ("loss", "images_per_s", "data_wait")
        }

    def write(
        self, steps: Mapping[str, int], message: str = "", is_over: bool = False
    ) -> None:
        """Writes the file, atomically; a full disk only makes it old."""
        status = {
            "step": sum(steps.values()),
            "num_steps": self._num_steps,
            "steps": dict(steps),
            "tasks": self._tasks,
            "message": message,
            "is_over": is_over,
        }
        try:
            atomic_file.write_text(self._path, json.dumps(status))
        except OSError:
            return


def status_path(workdir: pathlib.Path) -> pathlib.Path:
    """Returns where the file is."""
    return workdir / _FOLDER / FILE


def load_status(path: pathlib.Path) -> dict[str, Any]:
    """Returns the status, or {} where there is none."""
    try:
        return json.loads(path.read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return {}
