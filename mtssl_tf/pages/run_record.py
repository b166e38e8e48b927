"""What a run directory says of its run, read from its files alone."""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses
import os
import pathlib
from typing import Any

from mtssl_tf.pages import page
from mtssl_tf.pages import task_record
from mtssl_tf.reports import metrics_log
from mtssl_tf.reports import run_log
from mtssl_tf.training import run_data
from mtssl_tf.training import run_directory
from mtssl_tf.training import run_marker
from mtssl_tf.training import time_budget
from mtssl_tf.weighting import weighing


@dataclasses.dataclass(frozen=True)
class Examples:
    """Pictures or clips of a run.

    Attributes:
        count: in all; None where an older version has not written it.
        held_out: of them never trained on; likewise.
    """

    count: int | None = None
    held_out: int | None = None

    @property
    def trained_on(self) -> int | None:
        """How many were trained on."""
        if self.count is None or self.held_out is None:
            return None
        return self.count - self.held_out


@dataclasses.dataclass(frozen=True)
class Alarm:
    """A line of the health watch."""

    step: int
    subject: str
    message: str


@dataclasses.dataclass(frozen=True)
class RunRecord:
    """One run.

    Attributes:
        workdir: its directory, as the user names it.
        settings: of `config.json`; empty where there is none.
        tasks: that have logged something, by name.
        examples: 'images' and 'videos'.
        alarms: of the health watch, the first one first.
        measured: about the trunk: kind -> the numbers of its last line.
        shares: (step of all tasks, task -> share of the steps from there on),
            from the run's start; empty where they never moved.
        step: steps of all tasks so far.
        planned: in all; None where that is not known.
        is_marked: whether a process trains it, or ended without a word.
        pictures: name without ending -> file that training has drawn.
    """

    workdir: pathlib.Path
    settings: Mapping[str, Any]
    tasks: Mapping[str, task_record.TaskRecord]
    examples: Mapping[str, Examples]
    alarms: tuple[Alarm, ...]
    measured: Mapping[str, Mapping[str, float]]
    shares: tuple[tuple[int, Mapping[str, float]], ...]
    step: int
    planned: int | None
    is_marked: bool
    pictures: Mapping[str, pathlib.Path]

    def setting(self, section: str, key: str, kind: type) -> Any:
        """Returns a setting; None where it is missing or of another type."""
        values = self.settings.get(section)
        value = values.get(key) if isinstance(values, Mapping) else None
        return value if isinstance(value, kind) else None

    @property
    def command(self) -> str:
        """That began it; '' where an older version has not written it."""
        command = self.settings.get("command")
        return command if isinstance(command, str) else ""

    @property
    def seconds(self) -> float:
        """That its steps took: one after another, or at once on a cluster."""
        seconds = [task.seconds for task in self.tasks.values()]
        return max(seconds) if "--cluster" in self.command else sum(seconds)


def load_run(workdir: str | os.PathLike) -> RunRecord:
    """Reads a run directory, while it trains or afterwards.

    Raises:
        FileNotFoundError: it is none.
        OSError: it cannot be read.
        ValueError: `config.json` is damaged, or no step has been logged yet.
    """
    folder = pathlib.Path(workdir)
    lines = metrics_log.load_metrics(folder)
    settings: Mapping[str, Any] = {}
    if (folder / run_directory.CONFIG_FILE).exists():
        settings = run_directory.load_settings(folder)
    tasks = task_record.load_task_records(lines)
    if not tasks:
        raise ValueError(
            f"{folder} has logged no step yet. Let it train for longer."
        )
    step = max(line["step"] for line in lines)
    return RunRecord(
        folder,
        settings,
        tasks,
        _examples(folder),
        tuple(_alarms(lines)),
        _measured(lines),
        tuple(_shares(lines, settings)),
        step,
        _planned(folder, settings),
        (folder / run_marker.FILE).exists(),
        _pictures(folder),
    )


def _examples(folder: pathlib.Path) -> dict[str, Examples]:
    stored = run_data.load(folder)
    found = {}
    for kind in ("images", "videos"):
        entry = stored.get(kind)
        entry = entry if isinstance(entry, Mapping) else {}
        count, held_out = entry.get("count"), entry.get("held_out")
        found[kind] = Examples(
            count if isinstance(count, int) else None,
            held_out if isinstance(held_out, int) else None,
        )
    return found


def _alarms(lines: list[dict[str, Any]]) -> list[Alarm]:
    return [
        Alarm(line["step"], str(line.get("subject")), str(line.get("message")))
        for line in lines
        if line.get("split") == run_log.HEALTH
    ]


def _measured(lines: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Returns the last numbers of each kind of `RunLog.write_event`."""
    found = {}
    for line in lines:
        kind = line.get("split")
        if kind == weighing.SHARES:
            continue  # drawn over time
        if isinstance(kind, str) and kind in line:
            found[kind] = task_record.numbers(line[kind])
    return found


def _shares(
    lines: list[dict[str, Any]], settings: Mapping[str, Any]
) -> list[tuple[int, dict[str, float]]]:
    """Returns the shares at each change, and those that began the run."""
    found = [
        (line["step"], task_record.numbers(line.get(weighing.SHARES)))
        for line in lines
        if line.get("split") == weighing.SHARES
    ]
    tasks = settings.get("tasks")
    if not found or not isinstance(tasks, Mapping):
        return found
    weights = task_record.numbers(
        {
            task: options.get("weight")
            for task, options in tasks.items()
            if isinstance(options, Mapping)
        }
    )
    if total := sum(weights.values()):
        even = {task: weight / total for task, weight in weights.items()}
        found.insert(0, (0, even))
    return found


def _planned(folder: pathlib.Path, settings: Mapping[str, Any]) -> int | None:
    train = settings.get("train")
    train = train if isinstance(train, Mapping) else {}
    steps, hours = train.get("steps"), train.get("hours", 0.0)
    if not isinstance(steps, int) or not task_record.is_number(hours):
        return None
    return time_budget.TimeBudget(folder, steps, hours).num_steps


def _pictures(folder: pathlib.Path) -> dict[str, pathlib.Path]:
    drawn = folder / run_directory.PICTURES_FOLDER
    return {
        path.stem: path
        for path in sorted(drawn.glob("*.png"))
        if page.is_whole_png(path)
    }
