"""Colour spaces, as TensorFlow graph code.

sRGB to CIE Lab and back, with the D65 white point of the 2-degree observer,
as scikit-image defines them.
"""

from __future__ import annotations

from mtssl_tf.lazy_imports import tf

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


def to_lab(rgb: tf.Tensor) -> tf.Tensor:
    """Converts images from sRGB to CIE Lab (D65).

    Args:
        rgb: float32 [..., 3] in [0, 1].

    Returns:
        float32 [..., 3]; L in [0, 100], a and b in about [-110, 110].
    """
    linear = tf.where(
        rgb > 0.04045, ((rgb + 0.055) / 1.055) ** 2.4, rgb / 12.92
    )
    xyz = tf.einsum("...c,xc->...x", linear, tf.constant(_RGB_TO_XYZ))
    xyz /= tf.constant(_WHITE_D65)
    # max() keeps the gradient and the power finite on the branch not taken.
    root = tf.maximum(xyz, _LAB_LINEAR_BELOW) ** (1.0 / 3.0)
    f = tf.where(xyz > _LAB_LINEAR_BELOW, root, _LAB_SLOPE * xyz + _LAB_OFFSET)
    x, y, z = tf.unstack(f, axis=-1)
    return tf.stack(
        [116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)], axis=-1
    )


def from_lab(lab: tf.Tensor) -> tf.Tensor:
    """Converts images from CIE Lab (D65) to sRGB.

    Args:
        lab: float32 [..., 3]; L in [0, 100], a and b in about [-110, 110].

    Returns:
        float32 [..., 3] in [0, 1]; colours outside sRGB are clipped.
    """
    lightness, a, b = tf.unstack(lab, axis=-1)
    y = (lightness + 16.0) / 116.0
    f = tf.stack([y + a / 500.0, y, tf.maximum(y - b / 200.0, 0.0)], axis=-1)
    xyz = tf.where(f > 0.2068966, f**3, (f - _LAB_OFFSET) / _LAB_SLOPE)
    xyz *= tf.constant(_WHITE_D65)
    xyz_to_rgb = tf.linalg.inv(tf.constant(_RGB_TO_XYZ))
    linear = tf.einsum("...x,cx->...c", xyz, xyz_to_rgb)
    rgb = tf.where(
        linear > 0.0031308,
        1.055 * tf.maximum(linear, 0.0031308) ** (1.0 / 2.4) - 0.055,
        12.92 * linear,
    )
    return tf.clip_by_value(rgb, 0.0, 1.0)


def to_grey(rgb: tf.Tensor) -> tf.Tensor:
    """Returns Lab's lightness copied three times, in the range of the input.

    This is what every task sees under `--harmonize` (paper, sec. 3.3). Three
    equal channels keep the trunk usable on colour pictures.

    Args:
        rgb: float32 [..., 3] in [0, 255].

    Returns:
        float32 [..., 3] in [0, 255].
    """
    lightness = to_lab(rgb / 255.0)[..., :1] * (255.0 / MAX_LIGHTNESS)
    return tf.repeat(lightness, 3, axis=-1)
