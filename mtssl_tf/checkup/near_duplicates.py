"""Pictures that are nearly the same, by difference hashes.

A hash has a bit for each pair of neighbours on a grid of 8 x 8: whether the
right one is brighter. It stays nearly the same when a picture is scaled,
compressed again or made a little brighter. Flat pictures have hashes of noise,
so what hashes find alike is compared as small pictures too.
"""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
from scipy import sparse

_GRID = 8  # 64 bits
# ours: bits that may differ. With four bands of 16 bits those of two hashes
# that differ in three bits agree in one band at least.
_MAX_BITS = 3
_NUM_BANDS = 4
# ours: mean difference of small pictures, of 255. So the 20 groups that are
# found in 3917 pictures of Caltech-101 are all of one picture each, by eye.
_MAX_DIFFERENCE = 6.0
_ROWS_AT_ONCE = 16  # of a large band, against the rest of it
_PAIRS_AT_ONCE = 256


def difference_hash(image: np.ndarray) -> np.uint64:
    """Returns the hash of a picture, uint8 [H, W, 3] RGB."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (_GRID + 1, _GRID), interpolation=cv2.INTER_AREA)
    is_brighter = small[:, 1:] > small[:, :-1]
    return np.packbits(is_brighter).view(np.uint64)[0]


def find_groups(hashes: np.ndarray, thumbnails: np.ndarray) -> list[list[int]]:
    """Returns the groups of pictures that are nearly the same.

    Args:
        hashes: uint64 [n], of `difference_hash`.
        thumbnails: uint8 [n, ...], the same pictures, small.

    Returns:
        Ascending numbers of pictures, the largest group first; who is like
        nobody is in none.
    """
    group_of = np.arange(len(hashes))
    for pairs in _hash_pairs(hashes):
        # Of frames of a camera that stands still nearly all pairs are alike.
        first, second = group_of[pairs].T
        apart = pairs[first != second]
        alike = apart[_are_alike(thumbnails, apart)]
        if len(alike):
            group_of = _joined(group_of, alike)
    order = np.argsort(group_of, kind="stable")
    bounds = np.flatnonzero(np.diff(group_of[order])) + 1
    groups = [part.tolist() for part in np.split(order, bounds)]
    return sorted((g for g in groups if len(g) > 1), key=len, reverse=True)


def _joined(group_of: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Returns the groups, int [n], once those of pairs are one."""
    count = len(group_of)
    links = sparse.coo_matrix(
        (np.ones(len(pairs), bool), tuple(group_of[pairs].T)),
        shape=(count, count),
    )
    _, joined = sparse.csgraph.connected_components(links, directed=False)
    return joined[group_of]


def _hash_pairs(hashes: np.ndarray) -> Iterator[np.ndarray]:
    """Yields int64 [m, 2], pairs of pictures with hashes alike."""
    for band in range(_NUM_BANDS):
        keys = hashes >> np.uint64(16 * band) & np.uint64(0xFFFF)
        order = np.argsort(keys, kind="stable")
        bounds = np.flatnonzero(np.diff(keys[order])) + 1
        for members in np.split(order, bounds):
            for start in range(0, len(members) - 1, _ROWS_AT_ONCE):
                rows = members[start : start + _ROWS_AT_ONCE]
                others = members[start + 1 :]
                different = np.bitwise_count(
                    hashes[rows, None] ^ hashes[None, others]
                )
                a, b = np.nonzero(different <= _MAX_BITS)
                pairs = np.stack([rows[a], others[b]], axis=1)
                yield pairs[pairs[:, 0] != pairs[:, 1]]


def _are_alike(thumbnails: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Returns bool [m] for int64 [m, 2]."""
    is_alike = np.zeros(len(pairs), bool)
    for start in range(0, len(pairs), _PAIRS_AT_ONCE):
        part = pairs[start : start + _PAIRS_AT_ONCE]
        a, b = (thumbnails[part[:, n]].astype(np.float32) for n in range(2))
        difference = np.abs(a - b).reshape(len(part), -1).mean(1)
        is_alike[start : start + len(part)] = difference <= _MAX_DIFFERENCE
    return is_alike
