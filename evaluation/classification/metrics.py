"""Top-1, recall@5, per-class accuracy and confusion of a classifier."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mtssl_tf.frozen import accuracy

RECALL_AT = 5  # paper, sec. 5


def classification_metrics(
    scores: np.ndarray, classes: np.ndarray, class_names: Sequence[str]
) -> dict[str, Any]:
    """Scores a classifier, in percent; ties count by expectation.

    Args:
        scores: float [n, K].
        classes: int [n] in [0, K).
        class_names: K names.

    Returns:
        `top1`, `recall_at_5` (None for fewer than five classes, which say
        nothing by it), and `per_class_top1`: name -> percent.
    """
    recall = None
    if len(class_names) >= RECALL_AT:
        recall = accuracy.percent(accuracy.hits(scores, classes, RECALL_AT))
    top1 = accuracy.hits(scores, classes, 1)
    return {
        "top1": accuracy.percent(top1),
        "recall_at_5": recall,
        "per_class_top1": {
            name: accuracy.percent(top1[classes == number])
            for number, name in enumerate(class_names)
            if (classes == number).any()
        },
    }


def confusion(
    scores: np.ndarray, classes: np.ndarray, num_classes: int
) -> np.ndarray:
    """Shares of the predicted class (columns) by true class (rows).

    A picture with several best scores is shared among them.

    Returns:
        float64 [K, K]; a row sums to 1, or to 0 for a class without pictures.
    """
    is_best = scores == scores.max(axis=1, keepdims=True)
    shares = is_best / is_best.sum(axis=1, keepdims=True)  # [n, K]
    table = np.zeros((num_classes, num_classes))
    np.add.at(table, classes, shares)
    return table / np.maximum(table.sum(axis=1, keepdims=True), 1.0)
