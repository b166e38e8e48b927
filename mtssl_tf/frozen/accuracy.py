"""Top-1 and recall@k where scores may tie.

Ties count by expectation: a target that shares its score with others is a hit
with the probability that a random order of the tied puts it among the first
k. A classifier that scores all K classes alike gets k / K, not everything
and not nothing.
"""

from __future__ import annotations

import numpy as np


def hits(scores: np.ndarray, classes: np.ndarray, k: int) -> np.ndarray:
    """Probability that each picture's class is among its k best scores.

    Args:
        scores: float [n, K].
        classes: int [n] in [0, K).
        k: from 1 to K.

    Returns:
        float64 [n] in [0, 1].

    Raises:
        ValueError: `k` is not from 1 to K, or a score is NaN.
    """
    num_classes = scores.shape[1]
    if not 1 <= k <= num_classes:
        raise ValueError(
            f"k must be from 1 to the number of classes, {num_classes}. Got "
            f"{k}."
        )
    if np.isnan(scores).any():
        raise ValueError(
            f"{np.isnan(scores).any(axis=1).sum()} of {len(scores)} pictures "
            "have a score that is NaN."
        )
    own = np.take_along_axis(scores, classes[:, None], axis=1)  # [n, 1]
    num_better = (scores > own).sum(axis=1)
    num_tied = (scores == own).sum(axis=1)  # with the class itself
    return np.clip((k - num_better) / num_tied, 0.0, 1.0)


def percent(probabilities: np.ndarray) -> float:
    """Mean of values in [0, 1], in percent."""
    return 100.0 * float(np.mean(probabilities))
