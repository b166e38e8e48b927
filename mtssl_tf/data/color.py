"""Colour spaces, as code of any of Keras's back ends.

sRGB to CIE Lab and back, with the D65 white point of the 2-degree observer,
as scikit-image defines them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mtssl_tf.lazy_imports import keras

# IEC 61966-2-1 (sRGB) and CIE 15 (Lab).
_RGB_TO_XYZ = (
    (0.412453, 0.357580, 0.180423),
    (0.212671, 0.715160, 0.072169),
    (0.019334, 0.119193, 0.950227),
)
_WHITE_D65 = (0.95047, 1.0, 1.08883)
_LAB_LINEAR_BELOW = 0.008856
_LAB_SLOPE = 7.787
_LAB_OFFSET = 16.0 / 116.0

MAX_LIGHTNESS = 100.0
# A picture without any |a| or |b| above this is a grey one: it has nothing to
# say about colour.
MIN_CHROMA = 5.0  # release: Zhang et al., NonGrayMaskLayer


def to_lab(rgb: Any) -> Any:
    """Converts images from sRGB to CIE Lab (D65).

    Args:
        rgb: float32 [..., 3] in [0, 1].

    Returns:
        float32 [..., 3]; L in [0, 100], a and b in about [-110, 110].
    """
    ops = keras.ops
    linear = ops.where(
        rgb > 0.04045, ((rgb + 0.055) / 1.055) ** 2.4, rgb / 12.92
    )
    xyz = ops.matmul(linear, _matrix(np.transpose(_RGB_TO_XYZ)))
    xyz = xyz / _matrix(_WHITE_D65)
    # max() keeps the gradient and the power finite on the branch not taken.
    root = ops.maximum(xyz, _LAB_LINEAR_BELOW) ** (1.0 / 3.0)
    f = ops.where(xyz > _LAB_LINEAR_BELOW, root, _LAB_SLOPE * xyz + _LAB_OFFSET)
    x, y, z = ops.unstack(f, axis=-1)
    return ops.stack(
        [116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)], axis=-1
    )


def from_lab(lab: Any) -> Any:
    """Converts images from CIE Lab (D65) to sRGB.

    Args:
        lab: float32 [..., 3]; L in [0, 100], a and b in about [-110, 110].

    Returns:
        float32 [..., 3] in [0, 1]; colours outside sRGB are clipped.
    """
    ops = keras.ops
    lightness, a, b = ops.unstack(lab, axis=-1)
    y = (lightness + 16.0) / 116.0
    f = ops.stack([y + a / 500.0, y, ops.maximum(y - b / 200.0, 0.0)], axis=-1)
    xyz = ops.where(f > 0.2068966, f**3, (f - _LAB_OFFSET) / _LAB_SLOPE)
    xyz = xyz * _matrix(_WHITE_D65)
    linear = ops.matmul(xyz, _matrix(np.linalg.inv(_RGB_TO_XYZ).T))
    rgb = ops.where(
        linear > 0.0031308,
        1.055 * ops.maximum(linear, 0.0031308) ** (1.0 / 2.4) - 0.055,
        12.92 * linear,
    )
    return ops.clip(rgb, 0.0, 1.0)


def to_grey(rgb: Any) -> Any:
    """Returns Lab's lightness copied three times, in the range of the input.

    This is what every task sees under `--harmonize` (paper, sec. 3.3). Three
    equal channels keep the trunk usable on colour pictures.

    Args:
        rgb: float32 [..., 3] in [0, 255].

    Returns:
        float32 [..., 3] in [0, 255].
    """
    return grey_of_lab(to_lab(rgb / 255.0))


def grey_of_lab(lab: Any) -> Any:
    """Returns lightness three times, float32 [..., 3] in [0, 255]."""
    lightness = lab[..., :1] * (255.0 / MAX_LIGHTNESS)
    return keras.ops.repeat(lightness, 3, axis=-1)


def is_colorful(ab: Any) -> Any:
    """Says which pictures are not grey.

    Args:
        ab: float32 [B, h, w, 2], of Lab, the means of small squares.

    Returns:
        bool [B].
    """
    return keras.ops.max(keras.ops.abs(ab), axis=(1, 2, 3)) > MIN_CHROMA


def _matrix(values: Any) -> Any:
    return keras.ops.convert_to_tensor(np.asarray(values, np.float32))
