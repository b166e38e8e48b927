"""64 bits that nearly the same pictures share, and the groups they make.

A bit says whether a pixel of the picture, shrunk to 9 x 8 grey ones, is darker
than the one to its right. Equal bits make a group: other sizes and other JPEG
qualities of a picture mostly agree in all of them.
"""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np

_SIDE = 8  # bits of a row, and rows


def difference_hash(image: np.ndarray) -> int:
    """Returns 64 bits, the top left pixel's the highest.

    Args:
        image: uint8 [H, W, 3] RGB.
    """
    small = cv2.resize(image, (_SIDE + 1, _SIDE), interpolation=cv2.INTER_AREA)
    grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
    bits = grey[:, :-1] < grey[:, 1:]
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def groups(hashes: Mapping[str, int]) -> list[list[str]]:
    """Returns the names that share a hash, the largest group first.

    Pictures without any darker pixel, such as plain ones, have nothing that
    could tell them apart and make no group.

    Args:
        hashes: name -> its picture's.
    """
    by_hash: dict[int, list[str]] = {}
    for name, value in hashes.items():
        if value:
            by_hash.setdefault(value, []).append(name)
    several = [names for names in by_hash.values() if len(names) > 1]
    return sorted(several, key=len, reverse=True)
