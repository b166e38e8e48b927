"""Weighted nearest neighbours on cached features.

As in instance discrimination (Wu et al. 2018, sec. 3.4): cosine similarity,
each of the k nearest votes with exp(similarity / temperature).
"""

from __future__ import annotations

import numpy as np

NUM_NEIGHBOURS = 20  # ours; the 200 of Wu et al. are for ImageNet's 1.28M
TEMPERATURE = 0.07  # release
_CHUNK = 1024  # test pictures compared at a time, which bounds the memory


def score_by_neighbours(
    train_features: np.ndarray,
    train_classes: np.ndarray,
    test_features: np.ndarray,
    num_classes: int,
    num_neighbours: int = NUM_NEIGHBOURS,
    temperature: float = TEMPERATURE,
) -> np.ndarray:
    """Scores every class of every test picture by its neighbours' votes.

    Features are centred on the training mean first: what all pictures share
    would otherwise make all of them similar.

    Args:
        train_features: float32 [n, D].
        train_classes: int [n] in [0, K).
        test_features: float32 [m, D].
        num_classes: K.
        num_neighbours: k; all of the training pictures if they are fewer.
        temperature: a lower one trusts the nearest more.

    Returns:
        float32 [m, K]; 0 for a class that no neighbour has.
    """
    mean = train_features.mean(axis=0)
    train = _unit_length(train_features - mean)
    test = _unit_length(test_features - mean)
    num_neighbours = min(num_neighbours, len(train))
    is_class = np.eye(num_classes, dtype=np.float32)[train_classes]  # [n, K]
    scores = np.empty((len(test), num_classes), np.float32)
    for start in range(0, len(test), _CHUNK):
        similarity = test[start : start + _CHUNK] @ train.T  # [chunk, n]
        nearest = np.argpartition(-similarity, num_neighbours - 1, axis=1)[
            :, :num_neighbours
        ]
        votes = np.exp(
            (np.take_along_axis(similarity, nearest, axis=1) - 1.0)
            / temperature
        )  # [chunk, k]
        scores[start : start + _CHUNK] = np.einsum(
            "mk,mkc->mc", votes, is_class[nearest]
        )
    return scores


def _unit_length(features: np.ndarray) -> np.ndarray:
    norms = np.linalg.norm(features, axis=1, keepdims=True)
    return features / np.maximum(norms, np.finfo(np.float32).tiny)
