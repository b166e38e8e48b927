"""Which pictures are alike, by the cosine of their vectors."""

from __future__ import annotations

import numpy as np

MAX_PAIRS = 100_000  # ours: of near-duplicates that are listed
_CHUNK = 1024  # pictures compared with as many, which bounds the memory


def unit_length(vectors: np.ndarray) -> np.ndarray:
    """Centres vectors, and scales each to length 1.

    What all pictures share would otherwise make all of them alike.

    Args:
        vectors: float32 [n, D].

    Returns:
        float32 [n, D].
    """
    centred = vectors - vectors.mean(axis=0)
    norms = np.linalg.norm(centred, axis=1, keepdims=True)
    return centred / np.maximum(norms, np.finfo(np.float32).tiny)


def nearest(
    units: np.ndarray, queries: np.ndarray, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Finds the nearest of some pictures, themselves left out.

    Args:
        units: of `unit_length`.
        queries: int [m], numbers of pictures.
        count: k; all others where they are fewer.

    Returns:
        int [m, k] numbers, the nearest first, and their cosines, float [m, k].
    """
    cosines = units[queries] @ units.T  # [m, n]
    cosines[np.arange(len(queries)), queries] = -np.inf
    order = np.argsort(-cosines, axis=1, kind="stable")
    order = order[:, : min(count, len(units) - 1)]
    return order, np.take_along_axis(cosines, order, axis=1)


def duplicates(
    units: np.ndarray, threshold: float
) -> list[tuple[int, int, float]]:
    """Returns pairs whose cosine is at least a threshold, the most alike first.

    Args:
        units: of `unit_length`.
        threshold: in [-1, 1].

    Returns:
        (number, a larger number, cosine), `MAX_PAIRS` at most.
    """
    found = np.zeros([0, 2], np.int64)
    best = np.zeros([0], units.dtype)
    for start in range(0, len(units), _CHUNK):
        chunk = units[start : start + _CHUNK]
        for other in range(start, len(units), _CHUNK):
            cosines = chunk @ units[other : other + _CHUNK].T
            # Where the list is full, only what is more alike than its last.
            is_full = len(best) == MAX_PAIRS
            pairs = np.argwhere(
                cosines > best[-1] if is_full else cosines >= threshold
            )
            pairs = pairs[pairs[:, 1] + other > pairs[:, 0] + start]
            if not len(pairs):
                continue  # nearly always: to sort the list again takes longer
            best = np.concatenate([best, cosines[tuple(pairs.T)]])
            found = np.concatenate([found, pairs + [start, other]])
            order = np.lexsort([found[:, 1], found[:, 0], -best])[:MAX_PAIRS]
            found, best = found[order], best[order]
    return list(zip(*found.T.tolist(), best.tolist()))
