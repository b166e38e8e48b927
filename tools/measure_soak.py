"""Memory, open files and speed of a long run: `python -m tools.measure_soak`.

Trains all tasks on the sample set with the smallest trunk, and looks at the
process now and then. Growth shows in the difference between the end and step
2000: by then everything has been done once.
"""

from __future__ import annotations

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

from absl import app
from absl import flags

from mtssl_tf import pretraining
from mtssl_tf.process import keras_settings
from mtssl_tf.process import stop_signal

_STEPS = flags.DEFINE_integer("steps", 20_000, "Training steps.", 100)
_SETTLED = flags.DEFINE_integer(
    "settled", 2000, "Step that the end is compared with.", 50
)
_EVERY = flags.DEFINE_integer("every", 500, "Steps between two looks.", 1)
_JSON = flags.DEFINE_string("json", "", "File for all that was measured.")

_SETTINGS = (
    "trunk.num_units=(1,1,2)",
    "trunk.width=0.125",
    # Half way between two judgements the next look is at training alone.
    "train.judge_every=1000",
)
_BATCH = 4
_LOOK_S = 0.02


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
    names = pretraining.pretext_tasks()
    config = pretraining.build_config(
        names,
        "tiny",
        images="",
        videos="",
        lasso=False,
        harmonize=False,
        steps=num_steps,
        precision="float32",
        probe="",
        assignments=[
            *_SETTINGS,
            *(f"{name}.batch_size={_BATCH}" for name in names),
            f"data.cache_dir={workdir / 'cache'}",
            *assignments,
        ],
    )
    config = pretraining.use_sample_set(config)
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


def main(argv: Sequence[str]) -> None:
    """Measures, prints a table and writes the file."""
    if len(argv) > 1:
        print(f"There are only flags here, got {argv[1:]}.", file=sys.stderr)
        sys.exit(2)
    keras_settings.fix()
    with tempfile.TemporaryDirectory() as folder:
        looks = measure(pathlib.Path(folder), _STEPS.value, _EVERY.value, ())
    for look in looks:
        print(
            f"step {look.step:6d}  {look.rss_mb:7.1f} MB resident  "
            f"{look.anonymous_mb:7.1f} MB anonymous  {look.open_files:3d} files"
            f"  {look.threads:3d} threads  {look.wall_s:7.1f} s"
        )
    found = compare(looks, _SETTLED.value)
    print(json.dumps(found, indent=1))
    if _JSON.value:
        told = {
            "steps": _STEPS.value,
            "compared_with_step": _SETTLED.value,
            **found,
            "looks": [dataclasses.asdict(look) for look in looks],
        }
        pathlib.Path(_JSON.value).write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    app.run(main)
