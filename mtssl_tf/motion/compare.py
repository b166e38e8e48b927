"""How well masks agree with given ones: DAVIS's measures (Perazzi 2016)."""

from __future__ import annotations

import cv2
import numpy as np

BOUNDARY_SHARE = 0.008  # release (DAVIS): tolerance / the frame's diagonal


def compare_masks(moving: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Returns agreement of one mask with the truth, each in [0, 1].

    An empty mask of a frame where nothing moves agrees fully.

    Args:
        moving: bool [H, W].
        truth: bool [H, W].

    Returns:
        `J` (intersection / union), `precision`, `recall`, and `F` of the
        boundaries.
    """
    if moving.shape != truth.shape:
        raise ValueError(
            f"The mask is {moving.shape}, the one to compare with "
            f"{truth.shape} (H, W). Masks must have the frames' size."
        )
    both, marked, true = map(_count, (moving & truth, moving, truth))
    return {
        "J": _ratio(both, marked + true - both),
        "precision": _ratio(both, marked),
        "recall": _ratio(both, true),
        "F": boundary_f(moving, truth),
    }


def _count(mask: np.ndarray) -> int:
    return int(np.count_nonzero(mask))


def _ratio(part: float, whole: float) -> float:
    return float(part / whole) if whole else 1.0


def boundary_f(moving: np.ndarray, truth: np.ndarray) -> float:
    """Returns the harmonic mean of the boundaries' precision and recall.

    Args:
        moving: bool [H, W].
        truth: bool [H, W].
    """
    edge, true_edge = _boundary(moving), _boundary(truth)
    radius = int(np.ceil(BOUNDARY_SHARE * np.hypot(*moving.shape)))
    disk = cv2.getStructuringElement(
        cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1)
    )
    near_truth = cv2.dilate(true_edge, disk)
    near_mask = cv2.dilate(edge, disk)
    precision = _ratio(_count(edge & near_truth), _count(edge))
    recall = _ratio(_count(true_edge & near_mask), _count(true_edge))
    return _ratio(2 * precision * recall, precision + recall)


def _boundary(mask: np.ndarray) -> np.ndarray:
    """Returns uint8 [H, W]: 1 where a pixel and its neighbour differ."""
    edge = np.zeros(mask.shape, np.uint8)
    edge[:, :-1] |= mask[:, :-1] ^ mask[:, 1:]
    edge[:-1] |= mask[:-1] ^ mask[1:]
    return edge
