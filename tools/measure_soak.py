"""Memory, open files and speed of a long run: `python -m tools.measure_soak`.

Trains all tasks on the sample set with the smallest trunk, and looks at the
process now and then. Growth shows in the difference between the end and step
2000: by then everything has been done once.
"""

# ruff: noqa: E402
from __future__ import annotations

from mtssl_tf.process import end_signals

if __name__ == "__main__":
    end_signals.take()  # before the imports below, which take a while

from collections.abc import Sequence
import dataclasses
import json
import os
import pathlib
import sys
import tempfile
import threading
import time
from typing import Any

from absl import flags

from mtssl_tf import config as config_lib
from mtssl_tf import pretraining
from mtssl_tf import recipes
from mtssl_tf import run_settings
from mtssl_tf.process import command
from mtssl_tf.process import stop_signal

_FLAGS = flags.FlagValues()
flags.DEFINE_integer("steps", 20_000, "Of training.", 100, flag_values=_FLAGS)
flags.DEFINE_integer(
    "settled",
    2000,
    "Step that the end is compared with.",
    50,
    flag_values=_FLAGS,
)
flags.DEFINE_integer(
    "every", 500, "Steps between two looks.", 1, flag_values=_FLAGS
)
command.define_path("json", "", "File for all that was measured.", _FLAGS)

_SETTINGS = (
    "trunk.num_units=(1,1,2)",
    "trunk.width=0.125",
    # Half way between two judgements the next look is at training alone.
    "train.judge_every=1000",
)
_BATCH = 4
_LOOK_S = 0.02
_LEAST_LOOKS = 4  # of which two quarters are compared


@dataclasses.dataclass(frozen=True)
class Look:
    """What a process was at one moment.

    Attributes:
        step: of training.
        rss_mb: memory that is resident.
        anonymous_mb: of it what belongs to no file.
        open_files: descriptors.
        threads: of the process.
        wall_s: time since the first look.
        cpu_s: processor time of the process.
    """

    step: int
    rss_mb: float
    anonymous_mb: float
    open_files: int
    threads: int
    wall_s: float
    cpu_s: float


def measure(
    workdir: pathlib.Path,
    num_steps: int,
    every: int,
    assignments: Sequence[str],
) -> list[Look]:
    """Trains in this process and looks at it every so many steps.

    Args:
        workdir: for the run and the sample set.
        num_steps: of training.
        every: steps between two looks.
        assignments: further settings, 'section.key=value'.
    """
    names = recipes.default_tasks()
    config = config_lib.override(
        config_lib.preset_config("tiny", names),
        f"train.steps={num_steps}",
        *_SETTINGS,
        *(f"{name}.batch_size={_BATCH}" for name in names),
        f"data.cache_dir={workdir / 'cache'}",
        *assignments,
    )
    config = run_settings.use_sample_set(config)
    trainer = pretraining.build_trainer(config, workdir / "run")
    looks: list[Look] = []
    is_over = threading.Event()
    watcher = threading.Thread(
        target=_watch, args=(trainer, every, looks, is_over), daemon=True
    )
    watcher.start()
    stop = stop_signal.StopSignal()
    try:
        trainer.train(stop)
    finally:
        is_over.set()
        stop.hand_back()
    watcher.join()
    return looks


def compare(looks: Sequence[Look], settled_step: int) -> dict[str, float]:
    """Returns the end beside what it was once all had been done once.

    Speed is that of the last quarter over that of the first one after
    `settled_step`, by the clock and by processor time.
    """
    after = [look for look in looks if look.step >= settled_step]
    first, last = after[0], after[-1]
    quarter = max(len(after) // 4, 1)
    early = (after[0], after[quarter])
    late = (after[-1 - quarter], after[-1])
    return {
        "memory": last.rss_mb / first.rss_mb,
        "anonymous_memory": last.anonymous_mb / first.anonymous_mb,
        "open_files": last.open_files - first.open_files,
        "speed": _rate(*late, "wall_s") / _rate(*early, "wall_s"),
        "speed_by_cpu": _rate(*late, "cpu_s") / _rate(*early, "cpu_s"),
    }


def _rate(start: Look, end: Look, clock: str) -> float:
    return (end.step - start.step) / (
        getattr(end, clock) - getattr(start, clock)
    )


def _watch(
    trainer: Any, every: int, looks: list[Look], is_over: threading.Event
) -> None:
    start = time.monotonic()
    next_step = 0
    while not is_over.wait(_LOOK_S):
        if trainer.step >= next_step:
            looks.append(_look(trainer.step, start))
            next_step += every


def _look(step: int, start: float) -> Look:
    sizes = {}
    for line in (
        pathlib.Path("/proc/self/smaps_rollup").read_text().splitlines()
    ):
        name, *rest = line.split()
        if rest and rest[-1] == "kB":
            sizes[name] = int(rest[0]) / 1024
    return Look(
        step,
        sizes["Rss:"],
        sizes["Anonymous:"],
        len(os.listdir("/proc/self/fd")),
        len(os.listdir("/proc/self/task")),
        time.monotonic() - start,
        time.process_time(),
    )


def main(argv: Sequence[str]) -> int:
    """Measures, prints a table and writes the file."""
    return command.run("tools.measure_soak", __doc__, _FLAGS, argv, _work)


def _work(values: flags.FlagValues) -> None:
    least = values.settled + _LEAST_LOOKS * values.every
    if values.steps < least:
        raise ValueError(
            f"--steps={values.steps}: to compare its start with its end takes "
            f"{_LEAST_LOOKS} looks after --settled={values.settled}, so "
            f"{least} steps at --every={values.every}. Raise the one, or lower "
            "the others."
        )
    with tempfile.TemporaryDirectory() as folder:
        looks = measure(pathlib.Path(folder), values.steps, values.every, ())
    for look in looks:
        print(
            f"step {look.step:6d}  {look.rss_mb:7.1f} MB resident  "
            f"{look.anonymous_mb:7.1f} MB anonymous  {look.open_files:3d} files"
            f"  {look.threads:3d} threads  {look.wall_s:7.1f} s"
        )
    found = compare(looks, values.settled)
    print(json.dumps(found, indent=1))
    if values.json:
        told = {
            "steps": values.steps,
            "compared_with_step": values.settled,
            **found,
            "looks": [dataclasses.asdict(look) for look in looks],
        }
        pathlib.Path(values.json).write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    command.end(main(sys.argv))
