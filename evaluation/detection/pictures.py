"""Draws precision against recall, and detections on their pictures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
import dataclasses
import itertools
import math
import pathlib

from absl import logging
import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
import numpy as np

from evaluation.detection import average_precision
from evaluation.detection import scored_boxes
from evaluation.detection import voc_data
from evaluation.detection import voc_picture

CURVES_FILE = "precision_recall.png"
BEST_FILE = "best.png"
WORST_FILE = "worst.png"
_NUM_PICTURES = 8  # ours, as is the next
_COLUMNS = 4
_DRAWN_SCORE = 0.5  # ours
_IOU_THRESHOLD = 0.5  # VOC
_FOUND_COLOR = "#1b9e77"
_FALSE_COLOR = "#d95f02"
_MISSED_COLOR = "#7570b3"
_IGNORED_COLOR = "0.6"


def save_all(
    out_dir: pathlib.Path,
    split: voc_data.VocSplit,
    found: scored_boxes.Detections,
    curves: dict[str, average_precision.Curve],
) -> None:
    """Writes the curves, and the pictures that went best and worst.

    Best and worst are by the F1 score of the detections that score 0.5 or
    more, over pictures that have an object which counts.
    """
    save_curves(curves, out_dir / CURVES_FILE)
    judged = sorted(
        _judge_pictures(split, found), key=lambda one: one.f1, reverse=True
    )
    for order, name in ((judged, BEST_FILE), (judged[::-1], WORST_FILE)):
        drawn = list(itertools.islice(_whole(split, order), _NUM_PICTURES))
        if drawn:
            _save_pictures(split, drawn, out_dir / name)


def _whole(
    split: voc_data.VocSplit, judged: Iterable[_JudgedPicture]
) -> Iterator[_JudgedPicture]:
    """Yields those whose pictures can be drawn; scoring needs no pixels."""
    for one in judged:
        try:
            split.pictures[one.index].load_rgb()
        except (ValueError, OSError) as error:
            logging.warning("Not drawn: %s", error)
        else:
            yield one


def save_curves(
    curves: dict[str, average_precision.Curve], path: pathlib.Path
) -> None:
    """Draws a small plot a class: precision over recall at overlap 0.5."""
    rows = math.ceil(max(len(curves), 1) / 5)
    figure = Figure(figsize=(12, 2.4 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, 5, squeeze=False, sharex=True, sharey=True)
    for axis in axes.flat[len(curves) :]:
        axis.set_axis_off()
    for axis, (name, curve) in zip(axes.flat, curves.items()):
        axis.plot(curve.recall, curve.precision, color=_FOUND_COLOR)
        ap = 100 * average_precision.eleven_point(curve)
        axis.set_title(
            f"{name}: AP {ap:.1f}, {curve.num_objects} objects", fontsize=9
        )
        axis.set_xlim(0, 1)
        axis.set_ylim(0, 1.02)
    figure.supxlabel("recall")
    figure.supylabel("precision")
    figure.savefig(path, dpi=110)


@dataclasses.dataclass(frozen=True)
class _JudgedPicture:
    """A picture's drawn detections and what became of its objects.

    Attributes:
        index: of the picture in its split.
        detections: those that are drawn.
        is_true: bool [N]; the others are false or ignored.
        is_ignored: bool [N].
        is_missed: bool [M], of the picture's objects.
    """

    index: int
    detections: scored_boxes.Detections
    is_true: np.ndarray
    is_ignored: np.ndarray
    is_missed: np.ndarray

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        num_true = int(self.is_true.sum())
        num_false = int(np.sum(~self.is_true & ~self.is_ignored))
        num_missed = int(self.is_missed.sum())
        return 2 * num_true / (2 * num_true + num_false + num_missed)


def _judge_pictures(
    split: voc_data.VocSplit, found: scored_boxes.Detections
) -> list[_JudgedPicture]:
    drawn = found.take(np.flatnonzero(found.scores >= _DRAWN_SCORE))
    judged = []
    for index, picture in enumerate(split.pictures):
        if picture.is_difficult.all():
            continue
        detections = drawn.take(np.flatnonzero(drawn.pictures == index))
        judged.append(_judge_picture(index, picture, detections))
    return judged


def _judge_picture(
    index: int,
    picture: voc_picture.Picture,
    detections: scored_boxes.Detections,
) -> _JudgedPicture:
    truth = scored_boxes.GroundTruth(
        np.full(len(picture.classes), index),
        picture.classes,
        picture.boxes,
        picture.is_difficult,
    )
    is_missed = ~picture.is_difficult
    parts, true_parts, ignored_parts = [], [], []
    for class_index in range(len(voc_picture.CLASSES)):
        matches = average_precision.match_class(truth, detections, class_index)
        is_true, is_ignored = matches.outcomes(_IOU_THRESHOLD)
        objects = np.flatnonzero(truth.classes == class_index)
        is_missed[objects[matches.nearest[is_true]]] = False
        parts.append(matches.detections)
        true_parts.append(is_true)
        ignored_parts.append(is_ignored)
    return _JudgedPicture(
        index,
        scored_boxes.join_detections(parts),
        np.concatenate(true_parts),
        np.concatenate(ignored_parts),
        is_missed,
    )


def _save_pictures(
    split: voc_data.VocSplit,
    judged: list[_JudgedPicture],
    path: pathlib.Path,
) -> None:
    rows = math.ceil(len(judged) / _COLUMNS)
    figure = Figure(figsize=(14, 3.6 * rows + 0.4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, _COLUMNS, squeeze=False)
    for axis in axes.flat:
        axis.set_axis_off()
    for axis, one in zip(axes.flat, judged):
        _draw_picture(axis, split.pictures[one.index], one)
    figure.suptitle(
        "green: found, orange: false, purple: missed, grey: ignored",
        fontsize=10,
    )
    figure.savefig(path, dpi=100)


def _draw_picture(
    axis: Axes, picture: voc_picture.Picture, judged: _JudgedPicture
) -> None:
    axis.imshow(picture.load_rgb())
    axis.set_title(f"{picture.name}  F1 {judged.f1:.2f}", fontsize=9)
    for missed in np.flatnonzero(judged.is_missed):
        name = voc_picture.CLASSES[picture.classes[missed]]
        _draw_box(axis, picture.boxes[missed], _MISSED_COLOR, name)
    detections = judged.detections
    for number, box in enumerate(detections.boxes):
        color = _FALSE_COLOR
        if judged.is_true[number]:
            color = _FOUND_COLOR
        elif judged.is_ignored[number]:
            color = _IGNORED_COLOR
        name = voc_picture.CLASSES[detections.classes[number]]
        score = detections.scores[number]
        _draw_box(axis, box, color, f"{name} {score:.2f}")


def _draw_box(axis: Axes, box: np.ndarray, color: str, text: str) -> None:
    y_min, x_min, y_max, x_max = box
    # imshow puts the centre of the first pixel at 0, not its edge.
    axis.add_patch(
        Rectangle(
            (x_min - 0.5, y_min - 0.5),
            x_max - x_min,
            y_max - y_min,
            fill=False,
            edgecolor=color,
            linewidth=1.5,
        )
    )
    red, green, blue = matplotlib.colors.to_rgb(color)
    axis.text(
        x_min,
        y_min,
        text,
        fontsize=7,
        color="white",
        verticalalignment="bottom",
        bbox={
            "facecolor": (red, green, blue, 0.8),
            "edgecolor": "none",
            "pad": 1,
        },
    )
