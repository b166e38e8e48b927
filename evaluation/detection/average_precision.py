"""Average precision as PASCAL VOC defines it, in NumPy.

Everingham et al., "The PASCAL Visual Object Classes (VOC) Challenge", 2010,
and the 2007 development kit's VOCevaldet.m: detections in order of falling
score; each goes to the object of its class and picture that it overlaps most;
it is true if that overlap reaches the threshold and nobody came to the object
before, and false otherwise, duplicates included. A detection that goes to a
`difficult` object does not count either way.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from evaluation.detection import boxes as box_form
from evaluation.detection import scored_boxes

NO_OBJECT = -1
# VOC 2007 development kit. As floats, 0.3, 0.6 and 0.7 come out a rounding
# error too high, so that 3 of 10 objects do not reach the level 0.3. It is so
# in py-faster-rcnn's voc_eval.py, whose numbers are the published ones.
_LEVELS = np.linspace(0, 1, 11)


@dataclasses.dataclass(frozen=True)
class Curve:
    """Precision and recall of one class as the score threshold falls.

    Attributes:
        recall: float [N] in [0, 1], never falling.
        precision: float [N] in [0, 1].
        scores: float [N], falling.
        num_objects: objects that count.
    """

    recall: np.ndarray
    precision: np.ndarray
    scores: np.ndarray
    num_objects: int


@dataclasses.dataclass(frozen=True)
class ClassMatches:
    """Detections of one class, by falling score, and the nearest objects.

    Attributes:
        detections: float [N].
        overlap: float [N], the largest overlap with an object.
        nearest: int [N], that object's row in `truth` or `NO_OBJECT`.
        truth: the objects of the class.
    """

    detections: scored_boxes.Detections
    overlap: np.ndarray
    nearest: np.ndarray
    truth: scored_boxes.GroundTruth

    def outcomes(self, iou_threshold: float) -> tuple[np.ndarray, np.ndarray]:
        """Which detections are true and which are ignored, bool [N] each."""
        reaches = (self.nearest != NO_OBJECT) & (self.overlap >= iou_threshold)
        is_ignored = np.zeros_like(reaches)
        is_ignored[reaches] = self.truth.is_ignored[self.nearest[reaches]]
        claims = np.flatnonzero(reaches & ~is_ignored)
        # np.unique returns first occurrences: the surest claim wins.
        _, first = np.unique(self.nearest[claims], return_index=True)
        is_true = np.zeros_like(reaches)
        is_true[claims[first]] = True
        return is_true, is_ignored

    def curve(self, iou_threshold: float) -> Curve:
        """Precision and recall at one overlap threshold."""
        is_true, is_ignored = self.outcomes(iou_threshold)
        is_true = is_true[~is_ignored]
        num_objects = int(np.sum(~self.truth.is_ignored))
        num_true = np.cumsum(is_true)
        return Curve(
            recall=num_true / max(num_objects, 1),
            precision=num_true / np.arange(1, len(is_true) + 1),
            scores=self.detections.scores[~is_ignored],
            num_objects=num_objects,
        )


def match_class(
    truth: scored_boxes.GroundTruth,
    detections: scored_boxes.Detections,
    class_index: int,
) -> ClassMatches:
    """Finds the object that each detection of one class overlaps most."""
    truth = truth.of_class(class_index)
    detections = detections.of_class(class_index)
    # Stable: equal scores keep the order of the file, as the kit's sort does.
    order = np.argsort(-detections.scores, kind="stable")
    detections = detections.take(order)
    overlap, nearest = _nearest_objects(truth, detections)
    return ClassMatches(detections, overlap, nearest, truth)


def _nearest_objects(
    truth: scored_boxes.GroundTruth, detections: scored_boxes.Detections
) -> tuple[np.ndarray, np.ndarray]:
    """The largest overlap of each detection and the row of its object.

    Loops over the k-th object of every picture at once, so the work in Python
    grows with the fullest picture, not with the number of pictures.
    """
    by_picture = np.argsort(truth.pictures, kind="stable")
    sorted_pictures = truth.pictures[by_picture]
    start = np.searchsorted(sorted_pictures, detections.pictures, "left")
    count = (
        np.searchsorted(sorted_pictures, detections.pictures, "right") - start
    )
    overlap = np.zeros(len(detections.scores))
    nearest = np.full(len(detections.scores), NO_OBJECT)
    for k in range(count.max(initial=0)):
        rows = np.flatnonzero(count > k)
        objects = by_picture[start[rows] + k]
        candidate = box_form.overlaps(
            detections.boxes[rows], truth.boxes[objects]
        )
        better = candidate > overlap[rows]  # the first of equals stays
        overlap[rows[better]] = candidate[better]
        nearest[rows[better]] = objects[better]
    return overlap, nearest


def eleven_point(curve: Curve) -> float:
    """VOC 2007's average precision: the mean over recalls 0, 0.1, ... 1."""
    if not curve.num_objects:
        return float("nan")
    reaches = curve.recall[None, :] >= _LEVELS[:, None]
    best = np.where(reaches, curve.precision[None, :], 0).max(axis=1, initial=0)
    return float(best.mean())


def all_point(curve: Curve) -> float:
    """VOC 2010's average precision: the area under the falling envelope."""
    if not curve.num_objects:
        return float("nan")
    recall = np.concatenate([[0.0], curve.recall, [1.0]])
    precision = np.concatenate([[0.0], curve.precision, [0.0]])
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.sum(np.diff(recall) * envelope[1:]))


def mean_over_classes(values: list[float]) -> float:
    """The mean over classes that have objects; nan if none has."""
    present = [value for value in values if not np.isnan(value)]
    return float(np.mean(present)) if present else float("nan")
