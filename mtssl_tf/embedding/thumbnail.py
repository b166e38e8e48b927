"""Small squares of pictures, as the trunk sees them."""

from __future__ import annotations

import cv2
import numpy as np

from mtssl_tf.data import pictures as pictures_lib
from mtssl_tf.files import picture


def thumbnail(
    source: pictures_lib.PictureSource, number: int, side_px: int
) -> np.ndarray:
    """Returns the central square of a picture, uint8 [side, side, 3] RGB.

    Grey where it cannot be read any more.
    """
    try:
        image = source.decode(number)
    except (picture.UnusablePictureError, OSError):
        return np.full((side_px, side_px, 3), 128, np.uint8)
    height, width = image.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = image[top : top + side, left : left + side]
    return cv2.resize(square, (side_px, side_px), interpolation=cv2.INTER_AREA)
