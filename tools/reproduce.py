"""Trains and evaluates a whole table of trunks, and writes it as Markdown.

    python -m tools.reproduce --images=DIR --videos=DIR --train=DIR/train \
        --test=DIR/test --out=runs/table --steps=2400 --seeds=3

Rows are raw pixels, random weights, every pretext task alone, all of them,
and the tasks that need labels; each with every seed, from the last unit and
from a lasso mix, with both treatments of batch norm. The same command again
goes on where it stopped: what has a result is not done again.
"""

# ruff: noqa: E402
from __future__ import annotations

from mtssl_tf.process import end_signals

if __name__ == "__main__":
    end_signals.take()  # before the imports below, which take a while

from collections.abc import Iterator, Sequence
import dataclasses
import pathlib
import shlex
import statistics
import subprocess
import sys
import time

from absl import flags

from evaluation import result
from evaluation.classification import protocol
from mtssl_tf import tasks as tasks_lib
from mtssl_tf.process import atomic_file
from mtssl_tf.process import command as command_lib
from mtssl_tf.process import lock
from tools import child_process

NAME = "tools.reproduce"
TABLE_FILE = "table.md"
_TRAIN_TIME_FILE = "train_wall_time_s"


@dataclasses.dataclass(frozen=True)
class Row:
    """One kind of trunk: what trains it, if anything does.

    Attributes:
        name: as the table shows it.
        tasks: what it is trained on; empty for a fixed source.
        needs_labels: whether it is trained on pictures with classes.
    """

    name: str
    tasks: tuple[str, ...] = ()
    needs_labels: bool = False


@dataclasses.dataclass(frozen=True)
class Job:
    """One command and the folder that says whether it is done."""

    command: tuple[str, ...]
    out: pathlib.Path
    is_training: bool


def all_rows(has_videos: bool) -> list[Row]:
    """Returns the table's rows, from the task registry."""
    usable = {
        name: task
        for name, task in tasks_lib.TASKS.items()
        if has_videos or task.source != "videos"
    }
    pretext = tuple(name for name, task in usable.items() if task.is_pretext)
    rows = [Row("pixels"), Row("random")]
    rows += [Row(name, (name,)) for name in pretext]
    if len(pretext) > 1:
        rows.append(Row(f"all {len(pretext)} tasks", pretext))
    rows += [
        Row(name, (name,), needs_labels=True)
        for name, task in usable.items()
        if not task.is_pretext
    ]
    return rows


def features_of(preset: str) -> dict[str, list[str]]:
    """Returns what is read of a trunk, and the flags that ask for it.

    A mix is compared with the last unit at the mix's stride; where the preset
    reads the last unit at another one, that is there too.
    """
    features: dict[str, list[str]] = {"last unit": []}
    stride = protocol.LASSO_STRIDE
    if protocol.PRESETS[preset].fast.output_stride > stride:
        features[f"last unit at stride {stride}"] = [
            f"--output_stride={stride}"
        ]
    return {**features, "lasso mix": ["--lasso"]}


def plan(rows: Sequence[Row], values: flags.FlagValues) -> Iterator[Job]:
    """Yields every command, seed by seed, so that a part is a table too."""
    out = pathlib.Path(values.out)
    for seed in range(values.seeds):
        for row in rows:
            folder = out / row.name.replace(" ", "_") / f"seed_{seed}"
            if row.tasks:
                command = _train_command(values, row, seed, folder)
                yield Job(command, folder, is_training=True)
            for features, extra in features_of(values.preset).items():
                if row.name == "pixels" and extra:
                    continue  # has no units to mix
                evaluated = folder / features.replace(" ", "_")
                source = str(folder) if row.tasks else row.name
                command = _evaluate_command(
                    values, source, seed, evaluated, extra
                )
                yield Job(command, evaluated, is_training=False)


def run(job: Job) -> None:
    """Runs one command unless it is done.

    Raises:
        subprocess.CalledProcessError: it failed.
    """
    marker = job.out / (
        _TRAIN_TIME_FILE if job.is_training else result.RESULT_FILE
    )
    if marker.exists():
        return
    print(shlex.join(job.command), flush=True)
    start = time.perf_counter()
    child_process.run_to_its_end(job.command)
    if job.is_training:
        seconds = time.perf_counter() - start
        atomic_file.write_text(marker, f"{seconds:.0f}\n")


def as_table(
    rows: Sequence[Row], preset: str, seeds: int, out: pathlib.Path
) -> str:
    """Returns the table of all results that are there, as Markdown."""
    lines = [
        "| trunk | features | batch norm | seeds | top-1 | recall@5 | k-NN |",
        "|---|---|---|---:|---:|---:|---:|",
    ]
    for row in rows:
        for features in features_of(preset):
            for mode in protocol.BATCH_NORM_MODES:
                found = _load_results(row, features, mode, seeds, out)
                if found:
                    cells = [row.name, features, mode, str(len(found))]
                    cells += map(_mean_and_spread, _by_metric(found))
                    lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _load_results(
    row: Row, features: str, mode: str, seeds: int, out: pathlib.Path
) -> list[dict]:
    found = []
    for seed in range(seeds):
        folder = out / row.name.replace(" ", "_") / f"seed_{seed}"
        folder = folder / features.replace(" ", "_")
        # The first treatment's result lies in the folder itself.
        if mode != protocol.BATCH_NORM_MODES[0]:
            folder = folder / mode
        if (folder / result.RESULT_FILE).exists():
            found.append(result.load_result(folder))
    return found


def _by_metric(results: list[dict]) -> Iterator[list[float]]:
    for key in ("top1", "recall_at_5", "knn_top1"):
        yield [each["metrics"][key] for each in results]


def _mean_and_spread(values: list[float]) -> str:
    text = f"{statistics.mean(values):.1f}"
    if len(values) > 1:
        text += f" ± {statistics.stdev(values):.1f}"
    return text


def _train_command(
    values: flags.FlagValues, row: Row, seed: int, folder: pathlib.Path
) -> tuple[str, ...]:
    images = values.images
    if row.needs_labels:
        images = values.labelled_images or values.train
    command = [
        sys.executable,
        "-m",
        "mtssl_tf.train",
        f"--tasks={','.join(row.tasks)}",
        f"--images={images}",
        f"--workdir={folder}",
        f"--preset={values.preset}",
        f"--set=train.seed={seed}",
    ]
    if any(tasks_lib.TASKS[name].source == "videos" for name in row.tasks):
        command.append(f"--videos={values.videos}")
    if values.steps:
        command.append(f"--steps={values.steps}")
    return (*command, *values.train_flag)


def _evaluate_command(
    values: flags.FlagValues,
    source: str,
    seed: int,
    out: pathlib.Path,
    extra: Sequence[str],
) -> tuple[str, ...]:
    # Pixels have no batch norm to treat.
    mode = protocol.BATCH_NORM_MODES[0] if source == "pixels" else "both"
    return (
        sys.executable,
        "-m",
        "evaluation.imagenet_linear",
        f"--trunk={source}",
        f"--train={values.train}",
        f"--test={values.test}",
        f"--out={out}",
        f"--preset={values.preset}",
        f"--seed={seed}",
        f"--batch_norm={mode}",
        *extra,
    )


def define_flags() -> flags.FlagValues:
    """Returns this program's flags, apart from those of any other."""
    values = flags.FlagValues()
    for name, text in (
        ("images", "Pictures to train trunks on."),
        (
            "labelled_images",
            "Pictures with classes, for tasks that need labels; --train if "
            "absent.",
        ),
        ("videos", "Videos to train trunks on; without, no task of videos."),
        ("train", "As evaluation.imagenet_linear's."),
        ("test", "As evaluation.imagenet_linear's."),
        ("out", "Folder for runs, results and table."),
    ):
        command_lib.define_path(name, "", text, values)
    flags.DEFINE_enum(
        "preset", "tiny", list(protocol.PRESETS), "Scale.", flag_values=values
    )
    flags.DEFINE_integer(
        "steps", None, "Training steps a trunk.", 1, flag_values=values
    )
    flags.DEFINE_integer("seeds", 3, "Number of seeds.", 1, flag_values=values)
    flags.DEFINE_list(
        "rows", [], "Only these rows; all if absent.", flag_values=values
    )
    flags.DEFINE_multi_string(
        "train_flag",
        [],
        "Passed on to every training, as --train_flag=--lasso.",
        flag_values=values,
    )
    flags.DEFINE_bool(
        "list", False, "Print the commands and stop.", flag_values=values
    )
    return values


def main(argv: Sequence[str]) -> int:
    """Runs the command and returns its exit code.

    Where one of the commands that it runs fails, that is its own.
    """
    return command_lib.run(NAME, __doc__, define_flags(), argv, _work)


def _work(values: flags.FlagValues) -> int:
    rows = _rows(values)
    jobs = list(plan(rows, values))
    if values.list:
        print("\n".join(shlex.join(job.command) for job in jobs))
        return 0
    out = pathlib.Path(values.out)
    try:
        with lock.hold(out, command_lib.end_at_lost_lock(NAME)):
            _run_all(jobs, rows, values)
    except subprocess.CalledProcessError as error:
        print(f"{NAME}: {error} Run it again to go on.", file=sys.stderr)
        return child_process.exit_code(error)
    return 0


def _rows(values: flags.FlagValues) -> list[Row]:
    """Returns the rows that the flags ask for."""
    names = ("images", "train", "test", "out")
    missing = [f"--{name}" for name in names if not values[name].value]
    if missing:
        raise ValueError(f"{', '.join(missing)} must be given; see --help.")
    rows = {row.name: row for row in all_rows(bool(values.videos))}
    unknown = [name for name in values.rows if name not in rows]
    if unknown:
        raise ValueError(
            f"There are no rows {unknown}. Known: {', '.join(rows)}."
        )
    return [rows[name] for name in values.rows or rows]


def _run_all(
    jobs: Sequence[Job], rows: Sequence[Row], values: flags.FlagValues
) -> None:
    out = pathlib.Path(values.out)
    for job in jobs:
        run(job)
        if not job.is_training:
            table = as_table(rows, values.preset, values.seeds, out)
            atomic_file.write_text(out / TABLE_FILE, table)


if __name__ == "__main__":
    command_lib.end(main(sys.argv))
