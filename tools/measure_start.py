"""Times what a user waits for at a start: `python -m tools.measure_start`.

Each time is beside a reference that is measured in turn with it: --help beside
importing absl's flags, the way to a run's first step beside importing
TensorFlow and Keras, the listing of a folder beside a bare walk of it.
"""

# ruff: noqa: E402
from __future__ import annotations

from mtssl_tf.process import end_signals

if __name__ == "__main__":
    end_signals.take()  # before the imports below, which take a while

from collections.abc import Iterator, Sequence
import contextlib
import json
import multiprocessing
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

from absl import flags

from mtssl_tf import config as config_lib
from mtssl_tf import recipes
from mtssl_tf import tasks
from mtssl_tf.process import command
from tools import in_turn

_FLAGS = flags.FlagValues()
flags.DEFINE_integer(
    "files", 1_000_000, "Of the tree to list.", 1, flag_values=_FLAGS
)
flags.DEFINE_integer("rounds", 5, "Of each measurement.", 1, flag_values=_FLAGS)
command.define_path("json", "", "File for all that was measured.", _FLAGS)

_FILES_PER_FOLDER = 1000
_LONG_AGO = (10**9, 10**9)  # what has just changed is read again
_POLL_S = 0.005
_TIMEOUT_S = 300.0


def help_time(num_rounds: int = 5) -> in_turn.Figure:
    """Returns seconds of --help, and of importing absl's flags."""
    return in_turn.compare(
        lambda: _run_time("-m", "mtssl_tf.train", "--help"),
        lambda: _run_time("-c", "import absl.flags"),
        num_rounds,
    )


def mistake_time(num_rounds: int = 5) -> in_turn.Figure:
    """Returns seconds of an unknown flag, and of importing absl's flags."""
    return in_turn.compare(
        lambda: _run_time("-m", "mtssl_tf.train", "--taks=x"),
        lambda: _run_time("-c", "import absl.flags"),
        num_rounds,
    )


def first_step_time(
    num_rounds: int = 3, assignments: Sequence[str] = ()
) -> in_turn.Figure:
    """Returns seconds from the command to the end of its first step.

    One core, the default preset and tasks, a sample set made before. The
    reference is importing TensorFlow and Keras; `beyond` is what comes on top
    of it.

    Args:
        num_rounds: of which the medians are taken.
        assignments: further settings, 'section.key=value'.
    """
    with tempfile.TemporaryDirectory(prefix="mtssl-") as name:
        folder = pathlib.Path(name)
        cache = f"--set=data.cache_dir={folder / 'cache'}"
        # Makes the sample set, and labels its clips.
        _first_step(folder / "before", cache, assignments)
        numbers = iter(range(num_rounds))
        found = in_turn.compare(
            lambda: _first_step(
                folder / f"run_{next(numbers)}", cache, assignments
            ),
            lambda: _run_time("-c", "import tensorflow, keras", one_core=True),
            num_rounds,
        )
    return {**found, "beyond": found["ours"] - found["reference"]}


def listing_times(
    num_files: int = 1_000_000, num_rounds: int = 3
) -> dict[str, in_turn.Figure]:
    """Returns seconds to open a folder at a run's start, and again.

    All of it: listing, splitting, comparing with what the run began with. The
    reference is a bare `os.walk`. The tree is in memory for both: it has just
    been made.

    Returns:
        `list` of a run's first start, and `list_again` of later ones.
    """
    from mtssl_tf.training import run

    with tempfile.TemporaryDirectory(prefix="mtssl-") as name:
        folder = pathlib.Path(name)
        make_tree(folder / "tree", num_files)
        of_pictures = [
            name
            for name in recipes.default_tasks()
            if tasks.TASKS[name].source == "images"
        ]
        config = config_lib.override(
            config_lib.preset_config("tiny", of_pictures),
            f"data.images={folder / 'tree'}",
        )
        workdirs = iter([folder / f"run_{n}" for n in range(num_rounds)])

        def open_in(workdir: pathlib.Path) -> float:
            start = time.perf_counter()
            (source,) = run.open_own_sources(config, workdir).values()
            seconds = time.perf_counter() - start
            if len(source.names()) != num_files:
                raise ValueError(
                    f"{len(source.names())} of {num_files} files were found."
                )
            return seconds

        def walk() -> float:
            start = time.perf_counter()
            for _ in os.walk(folder / "tree"):
                pass
            return time.perf_counter() - start

        return {
            "list": in_turn.compare(
                lambda: open_in(next(workdirs)), walk, num_rounds
            ),
            "list_again": in_turn.compare(
                lambda: open_in(folder / "run_0"), walk, num_rounds
            ),
        }


def make_tree(folder: pathlib.Path, num_files: int) -> None:
    """Makes folders of empty files that are named like pictures."""
    folder.mkdir()
    with multiprocessing.get_context("spawn").Pool() as pool:
        pool.starmap(
            _make_folder,
            [
                (
                    folder / f"folder_{first // _FILES_PER_FOLDER:05d}",
                    first,
                    min(first + _FILES_PER_FOLDER, num_files),
                )
                for first in range(0, num_files, _FILES_PER_FOLDER)
            ],
        )
    os.utime(folder, _LONG_AGO)


def _make_folder(below: pathlib.Path, first: int, last: int) -> None:
    below.mkdir()
    for number in range(first, last):
        os.close(os.open(below / f"picture_{number:08d}.jpg", os.O_CREAT))
    os.utime(below, _LONG_AGO)


def _run_time(*arguments: str, one_core: bool = False) -> float:
    """Returns the seconds that Python takes with these arguments."""
    start = time.perf_counter()
    with _python(arguments, one_core) as process:
        process.wait(_TIMEOUT_S)
    return time.perf_counter() - start


def _first_step(
    workdir: pathlib.Path, cache: str, assignments: Sequence[str]
) -> float:
    """Returns seconds to the first line of metrics; then ends the run."""
    arguments = [
        "-m",
        "mtssl_tf.train",
        f"--workdir={workdir}",
        "--set=train.log_every=1",
        cache,
        *(f"--set={each}" for each in assignments),
    ]
    metrics = workdir / "metrics.jsonl"
    start = time.perf_counter()
    with _python(arguments, one_core=True) as process:
        while not (metrics.exists() and metrics.stat().st_size):
            if process.poll() is not None:
                raise ChildProcessError(
                    f"{' '.join(arguments)} ended with {process.returncode} "
                    "before its first step; run it to see why."
                )
            time.sleep(_POLL_S)
        seconds = time.perf_counter() - start
        process.send_signal(signal.SIGTERM)
        process.wait(_TIMEOUT_S)
    return seconds


@contextlib.contextmanager
def _python(
    arguments: Sequence[str], one_core: bool
) -> Iterator[subprocess.Popen]:
    """Runs Python, silent, on one of this process's cores if asked to."""
    cores = os.sched_getaffinity(0)
    if one_core:
        os.sched_setaffinity(0, {min(cores)})  # the child inherits it
    try:
        process = subprocess.Popen(
            [sys.executable, *arguments],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
    finally:
        os.sched_setaffinity(0, cores)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def measure(num_files: int, num_rounds: int) -> dict[str, in_turn.Figure]:
    """Returns everything, by the names that results have."""
    listing = listing_times(num_files, num_rounds)
    return {
        "startup/help": help_time(num_rounds),
        "startup/mistake": mistake_time(num_rounds),
        "startup/first_step": first_step_time(num_rounds),
        "startup/list_million": listing["list"],
        "startup/list_million_again": listing["list_again"],
    }


def main(argv: Sequence[str]) -> int:
    """Measures, prints what was found and writes the file."""
    return command.run("tools.measure_start", __doc__, _FLAGS, argv, _work)


def _work(values: flags.FlagValues) -> None:
    found = {"files": values.files, **measure(values.files, values.rounds)}
    text = json.dumps(found, indent=1)
    print(text)
    if values.json:
        pathlib.Path(values.json).write_text(text + "\n")


if __name__ == "__main__":
    command.end(main(sys.argv))
