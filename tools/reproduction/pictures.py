"""Pictures of a reproduction: what trunks predict, and Figure 4."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
import dataclasses
import pathlib

from evaluation import result as result_lib
from evaluation.depth import run as depth_run
from evaluation.detection import pictures as detection_pictures
from mtssl_tf import tasks as tasks_lib
from mtssl_tf.pages import tables_record
from mtssl_tf.reports import metrics_log
from mtssl_tf.training import run_directory
from tools import plot_mix
from tools.reproduction import plan
from tools.reproduction import tables as tables_lib

FIGURE4_FILE = "figure4.png"
# Of the trunk of four tasks, as an evaluation draws them.
_OF_EVALUATIONS = (
    (
        tables_lib.DETECTION,
        detection_pictures.BEST_FILE,
        "PASCAL, the best",
        "Detections on the pictures that went best.",
    ),
    (
        tables_lib.DETECTION,
        detection_pictures.WORST_FILE,
        "PASCAL, the worst",
        "Detections on the pictures that went worst.",
    ),
    (
        tables_lib.DEPTH,
        depth_run.PICTURES_FILE,
        "Depth",
        "Pictures, true depth and ours.",
    ),
)


def found(
    wanted: Sequence[plan.Evaluation], options: plan.Options
) -> Iterator[tables_record.Picture]:
    """Yields the pictures that are there, of the first seed; draws Figure 4."""
    trainings = {each.training for each in wanted}
    four = plan.Training(tables_lib.FOUR, 0)
    mixed = plan.Training(dataclasses.replace(tables_lib.FOUR, lasso=True), 0)
    if mixed in trainings:
        yield from _figure4(mixed, wanted, options)
    if four not in trainings:
        return
    for name in four.trunk.tasks():
        words = tasks_lib.find_task(name).words
        yield from _if_there(
            options.out,
            four.folder() / run_directory.PICTURES_FOLDER / f"{name}.png",
            name.replace("_", " ").capitalize(),
            f"On held-out examples: {words.shows}.",
        )
    for kind, file, title, about in _OF_EVALUATIONS:
        folder = plan.Evaluation(four, kind).folder()
        yield from _if_there(options.out, folder / file, title, about)


def _if_there(
    out: pathlib.Path, path: pathlib.Path, title: str, about: str
) -> Iterator[tables_record.Picture]:
    if (out / path).is_file():
        yield tables_record.Picture(title, about, str(path))


def _figure4(
    mixed: plan.Training,
    wanted: Sequence[plan.Evaluation],
    options: plan.Options,
) -> Iterator[tables_record.Picture]:
    run = options.out / mixed.folder()
    if not (run / metrics_log.FILE).is_file():
        return
    of_tasks = metrics_log.load_mixes(run)
    of_evaluations: dict[str, list[float]] = {}
    for each in wanted:
        folder = options.out / each.folder()
        is_its = each.training == mixed and each.lasso
        if is_its and (folder / result_lib.RESULT_FILE).is_file():
            of_evaluations |= result_lib.load_mixes(folder)
    if not of_tasks and not of_evaluations:
        return
    path = options.out / FIGURE4_FILE
    plot_mix.save_picture(of_tasks, of_evaluations, path)
    yield tables_record.Picture(
        "Figure 4: which units each task reads",
        "Absolute mixing weights; the whiter, the larger, and a cross is zero. "
        "Tasks of pre-training above, evaluations below.",
        FIGURE4_FILE,
    )
