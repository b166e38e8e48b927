"""Plots a run: `python -m tools.plot_run --workdir=DIR`.

One picture to look at, `DIR/report.png`: each task's loss beside what a blind
guess gets, and below it what the task last saw and predicted.
"""

# ruff: noqa: E402
from __future__ import annotations

from mtssl_tf.process import end_signals

if __name__ == "__main__":
    end_signals.take()  # before the imports below, which take a while

from collections.abc import Sequence
import pathlib
import sys

from absl import flags
import matplotlib

matplotlib.use("Agg")  # No display is needed.

import matplotlib.pyplot as plt

from mtssl_tf.process import atomic_file
from mtssl_tf.process import command
from mtssl_tf.reports import metrics_log

REPORT_FILE = "report.png"
_PICTURES_FOLDER = "pictures"

_FLAGS = flags.FlagValues()
command.define_path("workdir", "", "Run directory to plot.", _FLAGS)


def plot_run(workdir: pathlib.Path) -> pathlib.Path:
    """Draws a run's report.

    Returns:
        The picture's path.

    Raises:
        FileNotFoundError: `workdir` holds no metrics.
        ValueError: no step has been logged yet.
    """
    lines = [
        line for line in metrics_log.load_metrics(workdir) if "task" in line
    ]
    names = list(dict.fromkeys(line["task"] for line in lines))
    if not names:
        raise ValueError(
            f"{workdir} has logged no step yet. Let it train for longer."
        )
    figure, axes = plt.subplots(
        2,
        len(names),
        figsize=(4.2 * len(names), 12),
        height_ratios=(1, 2.2),
        squeeze=False,
        layout="constrained",
    )
    for column, name in enumerate(names):
        own = [line for line in lines if line["task"] == name]
        _plot_loss(axes[0, column], name, own)
        _show_picture(axes[1, column], workdir, name)
    path = workdir / REPORT_FILE
    with atomic_file.open_new(path) as file:
        figure.savefig(file, dpi=80, format=path.suffix[1:])
    plt.close(figure)
    return path


def _plot_loss(axis, name: str, lines: list[dict]) -> None:
    for split, style in (("train", "-"), ("held_out", "o")):
        points = [
            (line["step"], line["loss"])
            for line in lines
            if line["split"] == split and line["loss"] is not None
        ]
        if points:
            axis.plot(*zip(*points), style, label=split.replace("_", " "))
    axis.axhline(
        lines[-1]["chance"], color="grey", linestyle="--", label="blind guess"
    )
    axis.set(title=name.replace("_", " "), xlabel="step", ylabel="loss")
    axis.legend()


def _show_picture(axis, workdir: pathlib.Path, name: str) -> None:
    axis.axis("off")
    path = workdir / _PICTURES_FOLDER / f"{name}.png"
    if path.is_file():
        axis.imshow(plt.imread(path))


def main(argv: Sequence[str]) -> int:
    """Runs the command and returns its exit code."""
    return command.run("tools.plot_run", __doc__, _FLAGS, argv, _work)


def _work(values: flags.FlagValues) -> None:
    if not values.workdir:
        raise ValueError("Name a run directory: --workdir=DIR.")
    print(f"Plotted {plot_run(pathlib.Path(values.workdir))}")


if __name__ == "__main__":
    command.end(main(sys.argv))
