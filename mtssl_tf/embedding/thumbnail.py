"""Small squares of pictures, as the trunk sees them."""

from __future__ import annotations

import cv2
import numpy as np

from mtssl_tf.data import pictures as pictures_lib


def thumbnail(
    source: pictures_lib.PictureSource, number: int, side_px: int
) -> np.ndarray:
    """Returns the central square of a picture, uint8 [side, side, 3] RGB.

    Raises:
        UnusablePictureError, OSError: the picture has gone since.
    """
    image = source.decode(number)
    height, width = image.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = image[top : top + side, left : left + side]
    return cv2.resize(square, (side_px, side_px), interpolation=cv2.INTER_AREA)
