"""How fast this is, each figure beside a reference of the same minute.

    python -m tools.benchmark input|step|memory|startup|all
        [--json=FILE] [--compare=OLD.json] [--images=FOLDER]

Machines are noisy, so every figure is a ratio to something that is measured
in turns with it; docs/performance.md says to what, and what was found. `all`
takes under ten minutes on two cores.
"""

# ruff: noqa: E402
from __future__ import annotations

from mtssl_tf.process import end_signals

if __name__ == "__main__":
    end_signals.take()  # before the imports below, which take a while

from collections.abc import Callable, Iterator, Mapping, Sequence
import concurrent.futures
import importlib.util
import json
import multiprocessing
import pathlib
import sys
from typing import Any

from absl import flags
import tqdm

from mtssl_tf import recipes
from mtssl_tf import tasks as tasks_lib
from mtssl_tf.process import command
from tools import in_turn
from tools import measure_input
from tools import measure_start
from tools import measure_step

_FLAGS = flags.FlagValues()
command.define_path("json", "", "File for all that was measured.", _FLAGS)
command.define_path(
    "compare", "", "An earlier --json: says what moved since.", _FLAGS
)
command.define_path(
    "images", "", "JPEGs for the input; from the sample set if absent.", _FLAGS
)
flags.DEFINE_integer(
    "files", 1_000_000, "In the folder that is listed.", 1, flag_values=_FLAGS
)

GROUPS = ("input", "step", "memory", "startup")
_PRESETS = ("tiny", "paper")
# A quarter of the paper preset's: what an optimizer costs does not grow with
# the batch, so that with the whole one less would be seen of it.
_STEP_PRESET, _STEP_BATCH_SIZE = "paper", 8
_TRUNK_BATCH_SIZE, _TRUNK_PX = 8, 128
_REMAT_BATCH_SIZE = 4
_SLIM = "tf_slim"

Figures = dict[str, in_turn.Figure]
# A function and its arguments: each has a process of its own, since some set
# TensorFlow's threads, and memory is held by whoever came before.
Measurement = tuple[Callable[..., Figures], tuple[Any, ...]]


def plan(
    groups: Sequence[str], images: str = "", num_files: int = 1_000_000
) -> list[Measurement]:
    """Returns what is to be measured.

    Args:
        groups: of `GROUPS`.
        images: a folder of JPEGs, or "".
        num_files: in the folder that is listed.
    """
    by_group: dict[str, list[Measurement]] = {
        "input": [(measure_input.measure, (_PRESETS, images, 3))],
        "step": [(step_over_bare, (name,)) for name in recipes.default_tasks()]
        + [(trunk_over_slim, ())],
        "memory": [(remat, ())],
        "startup": [(measure_start.measure, (num_files, 3))],
    }
    return [each for group in groups for each in by_group[group]]


def step_over_bare(task: str) -> Figures:
    """Returns seconds of a step over those of its bare two passes."""
    figure = measure_step.measure_step(task, _STEP_PRESET, _STEP_BATCH_SIZE, 2)
    return {f"step/{task}": figure}


def trunk_over_slim() -> Figures:
    """Returns pictures a second of the trunk's step over TF-Slim's."""
    seconds = measure_step.measure_trunk(
        _TRUNK_BATCH_SIZE, _TRUNK_PX, num_rounds=3
    )
    rates = {
        name: _TRUNK_BATCH_SIZE / seconds[name]
        for name in ("ours", "reference")
    }
    ratio = 1.0 / seconds["ratio"]
    spread = seconds["spread"] * ratio**2
    return {
        "step/trunk_over_tf_slim": {**rates, "ratio": ratio, "spread": spread}
    }


def remat() -> Figures:
    """Returns time and memory of a step with --remat over one without."""
    # Of the task whose step keeps most: a block 3 of large units.
    found = measure_step.measure_remat(
        _largest_task(), _STEP_PRESET, _REMAT_BATCH_SIZE, 2
    )
    return {
        "memory/remat_time": found["time"],
        "memory/remat_peak": found["memory"],
    }


def measure(measurements: Sequence[Measurement]) -> Iterator[Figures]:
    """Measures one after another, each in a process of its own."""
    spawn = multiprocessing.get_context("spawn")
    for function, arguments in measurements:
        with concurrent.futures.ProcessPoolExecutor(1, spawn) as pool:
            yield pool.submit(function, *arguments).result()


def moved(old: Figures, new: Figures) -> dict[str, str]:
    """Returns what a ratio was and is, where it is beyond both spreads."""
    found = {}
    for name in sorted(old.keys() & new.keys()):
        before, after = old[name], new[name]
        if abs(after["ratio"] - before["ratio"]) > (
            before.get("spread", 0.0) + after.get("spread", 0.0)
        ):
            found[name] = f"{before['ratio']:.2f} -> {after['ratio']:.2f}"
    return found


def table(figures: Figures) -> str:
    """Returns the figures in Markdown."""
    lines = ["| figure | ours | reference | ratio | spread |"]
    lines += ["|---|---:|---:|---:|---:|"]
    for name, each in figures.items():
        lines.append(
            f"| {name} | {each['ours']:.4g} | {each['reference']:.4g} | "
            f"{each['ratio']:.2f} | {each.get('spread', 0.0):.2f} |"
        )
    return "\n".join(lines)


def _largest_task() -> str:
    """Returns the task with the smallest output stride."""
    return min(
        recipes.default_tasks(),
        key=lambda name: (
            tasks_lib.TASKS[name].presets[_STEP_PRESET].output_stride
        ),
    )


def _load(path: str) -> Figures:
    try:
        stored = json.loads(pathlib.Path(path).read_text())
        if not all("ratio" in each for each in stored.values()):
            raise ValueError("a figure has no ratio")
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(
            f"--compare={path} is not what --json wrote: {error}."
        ) from error
    return stored


def _groups(rest: Sequence[str]) -> Sequence[str]:
    if len(rest) != 1 or rest[0] not in (*GROUPS, "all"):
        raise ValueError(
            f"Expected one of {', '.join(GROUPS)} or all; got "
            f"{' '.join(rest) or 'nothing'}."
        )
    groups = GROUPS if rest[0] == "all" else rest
    if "step" in groups and importlib.util.find_spec(_SLIM) is None:
        raise ValueError(
            "The trunk's step is held against TF-Slim's, which is not "
            "installed: pip install -e '.[test]'."
        )
    return groups


def main(argv: Sequence[str]) -> int:
    """Runs the command and returns its exit code."""
    return command.run(
        "tools.benchmark", __doc__, _FLAGS, argv, _work, takes_more=True
    )


def _work(values: flags.FlagValues, rest: Sequence[str]) -> None:
    measurements = plan(_groups(rest), values.images, values.files)
    old = _load(values.compare) if values.compare else {}
    figures: Figures = {}
    for found in tqdm.tqdm(measure(measurements), total=len(measurements)):
        figures |= found
        if values.json:  # what was measured is kept if the rest fails
            _write(values.json, figures)
    print(table(figures))
    if values.compare:
        changes = moved(old, figures)
        for name, text in changes.items():
            print(f"{name} moved beyond its spread: {text}.")
        if not changes:
            print("Nothing moved beyond its own spread.")


def _write(path: str, figures: Mapping[str, in_turn.Figure]) -> None:
    pathlib.Path(path).write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    command.end(main(sys.argv))
