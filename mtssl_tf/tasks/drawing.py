"""Rows of small pictures with a caption, for what a task sees and predicts."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

_HEIGHT_PX = 96
_GAP_PX = 4
_CAPTION_PX = 16


def row(pictures: Sequence[np.ndarray], caption: str) -> np.ndarray:
    """Returns pictures of any size beside each other over a caption.

    Args:
        pictures: uint8 [h, w, 3] each.
        caption: one short line.

    Returns:
        uint8 [116, width, 3], white between and below the pictures.
    """
    gap = np.full((_HEIGHT_PX, _GAP_PX, 3), 255, np.uint8)
    cells = []
    for picture in pictures:
        width = round(picture.shape[1] * _HEIGHT_PX / picture.shape[0])
        scaled = cv2.resize(
            picture, (width, _HEIGHT_PX), interpolation=cv2.INTER_NEAREST
        )
        cells += [scaled, gap]
    strip = np.concatenate(cells, axis=1)
    bottom = np.full((_CAPTION_PX + _GAP_PX, strip.shape[1], 3), 255, np.uint8)
    cv2.putText(
        bottom,
        caption,
        (2, _CAPTION_PX - 4),
        cv2.FONT_HERSHEY_SIMPLEX,
        0.4,
        (0, 0, 0),
        1,
        cv2.LINE_AA,
    )
    return np.concatenate([strip, bottom])


def heat(values: np.ndarray, size_px: tuple[int, int]) -> np.ndarray:
    """Returns a map in [0, 1] as a grey picture.

    Args:
        values: float [h, w] in [0, 1].
        size_px: height and width of the picture.

    Returns:
        uint8 [H, W, 3].
    """
    grey = np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8)
    scaled = cv2.resize(
        grey, (size_px[1], size_px[0]), interpolation=cv2.INTER_NEAREST
    )
    return np.repeat(scaled[..., None], 3, axis=-1)
