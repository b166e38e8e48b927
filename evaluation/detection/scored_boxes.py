"""Ground truth and detections of a whole test set, as flat arrays.

Pictures and classes are indices here; the names stand once, in the caller.
Flat arrays are what makes scoring 5000 pictures a matter of seconds.
"""

from __future__ import annotations

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class GroundTruth:
    """The objects of a test set.

    Attributes:
        pictures: int [N], index of each object's picture.
        classes: int [N], 0-based.
        boxes: float [N, 4], as in `boxes`.
        is_ignored: bool [N]; neither finding nor missing such an object
            counts (VOC's `difficult`).
    """

    pictures: np.ndarray
    classes: np.ndarray
    boxes: np.ndarray
    is_ignored: np.ndarray

    def of_class(self, index: int) -> GroundTruth:
        """The objects of one class."""
        keep = self.classes == index
        return GroundTruth(
            self.pictures[keep],
            self.classes[keep],
            self.boxes[keep],
            self.is_ignored[keep],
        )


@dataclasses.dataclass(frozen=True)
class Detections:
    """What a detector found in a test set.

    Attributes:
        pictures: int [N], index of each detection's picture.
        classes: int [N], 0-based.
        boxes: float [N, 4], as in `boxes`.
        scores: float [N]; higher is surer, on any scale.
    """

    pictures: np.ndarray
    classes: np.ndarray
    boxes: np.ndarray
    scores: np.ndarray

    def of_class(self, index: int) -> Detections:
        """The detections of one class."""
        return self.take(np.flatnonzero(self.classes == index))

    def take(self, rows: np.ndarray) -> Detections:
        """The detections of the given rows, in their order."""
        return Detections(
            self.pictures[rows],
            self.classes[rows],
            self.boxes[rows],
            self.scores[rows],
        )


def join_ground_truth(parts: list[GroundTruth]) -> GroundTruth:
    """One ground truth of several; none gives an empty one."""
    empty = GroundTruth(
        np.zeros(0, int), np.zeros(0, int), np.zeros((0, 4)), np.zeros(0, bool)
    )
    parts = [empty, *parts]
    return GroundTruth(
        np.concatenate([part.pictures for part in parts]),
        np.concatenate([part.classes for part in parts]),
        np.concatenate([part.boxes for part in parts]),
        np.concatenate([part.is_ignored for part in parts]),
    )


def join_detections(parts: list[Detections]) -> Detections:
    """One set of detections of several; none gives an empty one."""
    empty = Detections(
        np.zeros(0, int), np.zeros(0, int), np.zeros((0, 4)), np.zeros(0)
    )
    parts = [empty, *parts]
    return Detections(
        np.concatenate([part.pictures for part in parts]),
        np.concatenate([part.classes for part in parts]),
        np.concatenate([part.boxes for part in parts]),
        np.concatenate([part.scores for part in parts]),
    )
