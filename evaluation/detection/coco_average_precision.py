"""Average precision and recall as COCO defines them, in NumPy.

Follows COCOeval (pycocotools) for boxes: in each picture and class, by
falling score, a detection takes the free object that it overlaps most, at
each of ten overlap thresholds; precision is read at 101 recalls. It differs
from VOC's rule in that a detection whose best object is taken may have the
next one. Objects marked as ignored are matched last and once, and count
neither way; COCO's crowd regions are not modelled.

All pictures and classes are matched at once: step (d, k) compares the d-th
detection with the k-th object of every group. So a test set of VOC's size
takes an eighth of COCOeval's time, whose figures are the same to 1e-15.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from evaluation.detection import boxes as box_form
from evaluation.detection import scored_boxes

IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)  # COCOeval
_RECALLS = np.linspace(0.0, 1.0, 101)  # COCOeval
_MOST_DETECTIONS = 100  # COCOeval: of one picture and class
_AREAS_PX = {  # COCOeval
    "all": (0.0, 1e5**2),
    "small": (0.0, 32.0**2),
    "medium": (32.0**2, 96.0**2),
    "large": (96.0**2, 1e5**2),
}


def coco_metrics(
    truth: scored_boxes.GroundTruth, detections: scored_boxes.Detections
) -> dict[str, float]:
    """COCO's twelve figures for boxes.

    Returns:
        AP, AP50, AP75, APsmall, APmedium, APlarge, AR1, AR10, AR100, ARsmall,
        ARmedium, ARlarge; in [0, 1], nan where no object is of that kind.
    """
    groups = _group(truth, detections)
    summaries = {
        name: _summarize(groups, limits) for name, limits in _AREAS_PX.items()
    }
    precision, recall = summaries["all"]
    metrics = {
        "AP": _mean(precision),
        "AP50": _mean(precision[:, 0]),
        "AP75": _mean(precision[:, 5]),
    }
    sizes = ("small", "medium", "large")
    metrics |= {f"AP{size}": _mean(summaries[size][0]) for size in sizes}
    metrics |= {f"AR{most}": _mean(recall[most]) for most in recall}
    metrics |= {
        f"AR{size}": _mean(summaries[size][1][_MOST_DETECTIONS])
        for size in sizes
    }
    return metrics


@dataclasses.dataclass(frozen=True)
class _Groups:
    """Objects and detections, sorted by (picture, class).

    Attributes:
        truth: sorted by group.
        detections: sorted by group, then by falling score.
        rank: int [N], place of a detection within its group.
        first_object: int [N], row of the first object of its group.
        num_objects: int [N], objects in its group.
    """

    truth: scored_boxes.GroundTruth
    detections: scored_boxes.Detections
    rank: np.ndarray
    first_object: np.ndarray
    num_objects: np.ndarray


def _group(
    truth: scored_boxes.GroundTruth, detections: scored_boxes.Detections
) -> _Groups:
    classes = max(
        truth.classes.max(initial=0), detections.classes.max(initial=0)
    )
    object_keys = truth.pictures * (classes + 1) + truth.classes
    order = np.argsort(object_keys, kind="stable")
    object_keys = object_keys[order]
    truth = scored_boxes.GroundTruth(
        truth.pictures[order],
        truth.classes[order],
        truth.boxes[order],
        truth.is_ignored[order],
    )
    keys = detections.pictures * (classes + 1) + detections.classes
    order = np.lexsort((-detections.scores, keys))
    keys = keys[order]
    rank = np.arange(len(keys)) - np.searchsorted(keys, keys, "left")
    kept = rank < _MOST_DETECTIONS
    keys = keys[kept]
    first = np.searchsorted(object_keys, keys, "left")
    return _Groups(
        truth=truth,
        detections=detections.take(order[kept]),
        rank=rank[kept],
        first_object=first,
        num_objects=np.searchsorted(object_keys, keys, "right") - first,
    )


def _summarize(
    groups: _Groups, limits: tuple[float, float]
) -> tuple[np.ndarray, dict[int, np.ndarray]]:
    """Precision [K, 10, 101] and, by most detections, recall [K, 10]."""
    areas = box_form.areas(groups.truth.boxes)
    object_ignored = (
        groups.truth.is_ignored | (areas < limits[0]) | (areas > limits[1])
    )
    is_true, is_ignored = _match(groups, object_ignored)
    areas = box_form.areas(groups.detections.boxes)
    outside = (areas < limits[0]) | (areas > limits[1])
    is_ignored |= ~is_true & outside
    counted = np.unique(groups.truth.classes[~object_ignored])
    by_most: dict[int, list[np.ndarray]] = {1: [], 10: [], 100: []}
    precision = []
    for index in counted:
        positives = np.sum((groups.truth.classes == index) & ~object_ignored)
        of_class = groups.detections.classes == index
        for most, recalls in by_most.items():
            rows = np.flatnonzero(of_class & (groups.rank < most))
            order = np.argsort(-groups.detections.scores[rows], kind="stable")
            rows = rows[order]
            curve, final = _precision_at_recalls(
                is_true[:, rows], is_ignored[:, rows], positives
            )
            recalls.append(final)
        precision.append(curve)  # of the largest number of detections
    shape = (len(counted), len(IOU_THRESHOLDS))
    return (
        np.reshape(precision, (*shape, len(_RECALLS))),
        {most: np.reshape(rows, shape) for most, rows in by_most.items()},
    )


def _match(
    groups: _Groups, object_ignored: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Which detections are true and which are ignored, bool [10, N] each."""
    num_thresholds = len(IOU_THRESHOLDS)
    num_detections = len(groups.detections.scores)
    is_true = np.zeros((num_thresholds, num_detections), bool)
    is_ignored = np.zeros_like(is_true)
    is_taken = np.zeros((num_thresholds, len(object_ignored)), bool)
    with_objects = np.flatnonzero(groups.num_objects > 0)
    for rank in range(_MOST_DETECTIONS):
        rows = with_objects[groups.rank[with_objects] == rank]
        if not len(rows):
            break
        counted = _best_free(groups, rows, is_taken, ~object_ignored)
        ignored = _best_free(groups, rows, is_taken, object_ignored)
        chosen = np.where(counted >= 0, counted, ignored)  # [10, rows]
        is_true[:, rows] = counted >= 0
        is_ignored[:, rows] = (counted < 0) & (ignored >= 0)
        threshold, column = np.nonzero(chosen >= 0)
        is_taken[threshold, chosen[threshold, column]] = True
    return is_true, is_ignored


def _best_free(
    groups: _Groups,
    rows: np.ndarray,
    is_taken: np.ndarray,
    is_candidate: np.ndarray,
) -> np.ndarray:
    """Row of the free candidate object that each detection overlaps most.

    Returns:
        int [10, len(rows)]; -1 where no free one reaches the threshold.
    """
    best = np.full((len(IOU_THRESHOLDS), len(rows)), -1)
    # COCOeval starts from min(threshold, 1 - 1e-10).
    overlap = np.repeat(IOU_THRESHOLDS[:, None], len(rows), axis=1)
    for k in range(groups.num_objects[rows].max()):
        columns = np.flatnonzero(groups.num_objects[rows] > k)
        objects = groups.first_object[rows[columns]] + k
        candidate = box_form.overlaps(
            groups.detections.boxes[rows[columns]], groups.truth.boxes[objects]
        )
        better = (
            (candidate >= overlap[:, columns])  # the last of equals stays
            & is_candidate[objects]
            & ~is_taken[:, objects]
        )
        best[:, columns] = np.where(better, objects, best[:, columns])
        overlap[:, columns] = np.where(better, candidate, overlap[:, columns])
    return best


def _precision_at_recalls(
    is_true: np.ndarray, is_ignored: np.ndarray, positives: int
) -> tuple[np.ndarray, np.ndarray]:
    """Interpolated precision [10, 101] and final recall [10]."""
    true = np.cumsum(is_true, axis=1)
    false = np.cumsum(~is_true & ~is_ignored, axis=1)
    recall = true / positives
    precision = true / np.maximum(true + false, 1)
    envelope = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    read = np.zeros((len(IOU_THRESHOLDS), len(_RECALLS)))
    for row in range(len(IOU_THRESHOLDS)):
        places = np.searchsorted(recall[row], _RECALLS, "left")
        found = places < recall.shape[1]
        read[row, found] = envelope[row, places[found]]
    final = recall[:, -1] if recall.shape[1] else np.zeros(len(read))
    return read, final


def _mean(values: np.ndarray) -> float:
    return float(np.mean(values)) if values.size else float("nan")
