"""A frame and its mask as two files."""

from __future__ import annotations

import pathlib

import cv2
import numpy as np

from mtssl_tf.files import names
from mtssl_tf.files import picture

_JPEG_QUALITY = 95  # ours
# A bit a pixel: read in a third of the time, and half as large.
_MASK_OPTIONS = (cv2.IMWRITE_PNG_BILEVEL, 1, cv2.IMWRITE_PNG_COMPRESSION, 6)

Files = tuple[pathlib.Path, pathlib.Path]


def files(folder: pathlib.Path, name: str) -> Files:
    """Returns the JPEG of a frame and the PNG of 0 and 255 of its mask."""
    return folder / f"{name}.jpg", folder / f"{name}.png"


def save_frame(to: Files, frame: np.ndarray) -> None:
    """Writes a frame, uint8 [H, W, 3] RGB, to its `files`.

    Raises:
        OSError: it cannot be written.
    """
    bgr = cv2.cvtColor(frame, cv2.COLOR_RGB2BGR)
    picture.save(to[0], bgr, (cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY))


def save_mask(to: Files, moving: np.ndarray) -> None:
    """Writes a mask, bool [H, W], to its frame's `files`.

    Raises:
        OSError: it cannot be written.
    """
    mask = np.where(moving, np.uint8(255), np.uint8(0))
    picture.save(to[1], mask, _MASK_OPTIONS)


def load(where: Files) -> tuple[np.ndarray, np.ndarray] | None:
    """Returns a frame and its mask, or None where either can't be read.

    Args:
        where: their `files`.

    Returns:
        uint8 [H, W, 3] RGB, and uint8 [H, W, 1] of 0 and 255.
    """
    image_path, mask_path = map(names.for_opencv, where)
    image = cv2.imread(image_path, cv2.IMREAD_COLOR)
    mask = cv2.imread(mask_path, cv2.IMREAD_GRAYSCALE)
    if image is None or mask is None or image.shape[:2] != mask.shape:
        return None
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB), mask[..., None]
