"""Distortions of a patch that leave what it shows the same.

Ranges are those of Dosovitskiy et al. 2014, sec. 3.1 (release), where nothing
else is said. Geometry is one affine warp of the picture, so that a patch is
resampled once and its border shows real surroundings; it is done an example
at a time as pictures are read. Colours are changed a batch at a time, where
the trunk is.
"""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np

from mtssl_tf.data import hue as hue_lib
from mtssl_tf.data import seeded
from mtssl_tf.lazy_imports import keras
from mtssl_tf.lazy_imports import tf

MAX_SHIFT = 0.2  # of the patch's side
MIN_SCALE, MAX_SCALE = 0.7, 1.4
MAX_ROTATION = math.radians(20.0)
MAX_HUE_SHIFT = 0.1
MIN_POWER, MAX_POWER = 0.25, 4.0
MIN_FACTOR, MAX_FACTOR = 0.7, 1.4
MAX_OFFSET = 0.1
MIN_CONTRAST, MAX_CONTRAST = 0.5, 2.0


def distorted_patches(
    image: tf.Tensor, place: tf.Tensor, patch_px: int, shares: tf.Tensor
) -> tf.Tensor:
    """Cuts a patch several times, moved, scaled and turned at random.

    Args:
        image: uint8 [H, W, 3].
        place: float32 [2] in [0, 1]: where the seed patch lies in the room
            that the picture has in y and x.
        patch_px: side of the patch.
        shares: float32 [V, 4], uniform in [0, 1): of the ranges of shift in y
            and x, scale and angle.

    Returns:
        uint8 [V, patch_px, patch_px, 3].
    """
    room = tf.cast(tf.shape(image)[:2] - patch_px, tf.float32)
    transforms = []
    for share in tf.unstack(shares):
        shift = (2.0 * share[:2] - 1.0) * MAX_SHIFT * patch_px
        center = place * room + (patch_px - 1) / 2.0 + shift
        scale = MIN_SCALE + share[2] * (MAX_SCALE - MIN_SCALE)
        angle = (2.0 * share[3] - 1.0) * MAX_ROTATION
        transforms.append(patch_transform(center, patch_px, scale, angle))
    return warp(image, tf.stack(transforms), patch_px, patch_px)


def recolored(pictures: Any, strength: float, seeds: Any) -> Any:
    """Changes contrast, hue, saturation and value at random.

    Args:
        pictures: uint8 or float32 [B, V, h, w, 3] in [0, 255].
        strength: 1 takes the full ranges; 0 leaves colours alone.
        seeds: int32 [B, 2].

    Returns:
        float32 [B, V, h, w, 3] in [0, 255].
    """
    ops = keras.ops
    pictures = ops.cast(pictures, "float32")
    if strength == 0:
        return pictures
    num_views, height, width = pictures.shape[1:4]
    flat = ops.reshape(pictures / 255.0, (-1, height, width, 3))
    contrasts = seeded.uniform(seeds, seeded.Stream.CONTRAST, (num_views, 3))
    flat = change_contrast(flat, strength, ops.reshape(contrasts, (-1, 3)))
    colors = seeded.uniform(seeds, seeded.Stream.COLORS, (num_views, 7))
    flat = change_colors(flat, strength, ops.reshape(colors, (-1, 7)))
    return 255.0 * ops.reshape(flat, (-1, num_views, height, width, 3))


def warp(
    image: tf.Tensor, transforms: tf.Tensor, height: int, width: int
) -> tf.Tensor:
    """Resamples a picture bilinearly, mirrored beyond its border.

    By OpenCV, which rounds places to 1/32 of a pixel: a ninth of the time of
    TensorFlow's op, which on uint8 cuts off in place of rounding.

    Args:
        image: uint8 or float32 [H, W, C], C at most 4.
        transforms: float32 [V, 6], affine maps (a0, a1, a2, b0, b1, b2) from
            output to input pixels (x, y).
        height: of the result.
        width: of the result.

    Returns:
        [V, height, width, C] of the type of `image`.
    """

    def warp_with_opencv(picture: np.ndarray, maps: np.ndarray) -> np.ndarray:
        return np.stack(
            [
                cv2.warpAffine(
                    picture,
                    rows,
                    (width, height),
                    flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
                    borderMode=cv2.BORDER_REFLECT,
                )
                for rows in maps.reshape(-1, 2, 3)
            ]
        )

    warped = tf.numpy_function(
        warp_with_opencv, [image, transforms], image.dtype, stateful=False
    )
    return tf.ensure_shape(
        warped, [transforms.shape[0], height, width, image.shape[-1]]
    )


def patch_transform(
    center: tf.Tensor, patch_px: int, scale: tf.Tensor, angle: tf.Tensor
) -> tf.Tensor:
    """Returns the map from a patch's pixels to those of its picture.

    Args:
        center: float32 [2], (y, x) in the picture, pixel centres at integers.
        patch_px: side of the patch.
        scale: float32 [], picture pixels a patch pixel.
        angle: float32 [], in radians, by which the sampling grid is turned.

    Returns:
        float32 [6], as `warp` takes it.
    """
    cos, sin = scale * tf.cos(angle), scale * tf.sin(angle)
    middle = (patch_px - 1) / 2.0
    return tf.stack(
        [
            cos,
            -sin,
            center[1] - (cos - sin) * middle,
            sin,
            cos,
            center[0] - (sin + cos) * middle,
        ]
    )


def change_contrast(pictures: Any, strength: float, share: Any) -> Any:
    """Scales each picture's colours along their principal components.

    Ours: the components are the picture's own, not those of a data set.

    Args:
        pictures: float32 [N, h, w, 3] in [0, 1].
        strength: in [0, 1].
        share: float32 [N, 3], uniform in [0, 1): of the range of factors.

    Returns:
        float32 [N, h, w, 3], not bound to [0, 1].
    """
    ops = keras.ops
    height, width = pictures.shape[1:3]
    colors = ops.reshape(pictures, (-1, height * width, 3))
    mean = ops.mean(colors, axis=1, keepdims=True)
    centered = colors - mean
    covariance = ops.matmul(ops.transpose(centered, (0, 2, 1)), centered)
    noise = ops.convert_to_tensor(1e-6 * np.eye(3, dtype=np.float32))
    _, axes = ops.linalg.eigh(covariance + noise)
    factors = _factor(share, MIN_CONTRAST, MAX_CONTRAST, strength)
    # One product a pixel in place of two: there, scaled, and back.
    scaling = ops.matmul(
        axes * factors[:, None, :], ops.transpose(axes, (0, 2, 1))
    )
    scaled = ops.matmul(centered, scaling)
    return ops.reshape(mean + scaled, (-1, height, width, 3))


def change_colors(pictures: Any, strength: float, share: Any) -> Any:
    """Shifts hue, and bends saturation and value: v -> f v^p + o.

    Args:
        pictures: float32 [N, h, w, 3]; clipped to [0, 1].
        strength: in [0, 1].
        share: float32 [N, 7], uniform in [0, 1): of the ranges of the hue's
            shift, two powers, two factors and two offsets.

    Returns:
        float32 [N, h, w, 3] in [0, 1].
    """
    ops = keras.ops
    channels = hue_lib.split(ops.clip(pictures, 0.0, 1.0))
    highest, lowest = hue_lib.ends(channels)
    share = share[:, None, None, :]
    shift = strength * MAX_HUE_SHIFT * (2.0 * share[..., 0] - 1.0)
    shares = hue_lib.turned(channels, highest, lowest, shift)
    power = _factor(share[..., 1:3], MIN_POWER, MAX_POWER, strength)
    factor = _factor(share[..., 3:5], MIN_FACTOR, MAX_FACTOR, strength)
    offset = strength * MAX_OFFSET * (2.0 * share[..., 5:7] - 1.0)
    saturation = (highest - lowest) / ops.maximum(highest, hue_lib.TINY)
    saturation, value = (
        ops.clip(
            each ** power[..., number] * factor[..., number]
            + offset[..., number],
            0.0,
            1.0,
        )
        for number, each in enumerate((saturation, highest))
    )
    return hue_lib.join(
        [value - value * saturation * (1.0 - share) for share in shares]
    )


def _factor(share: Any, minimum: float, maximum: float, strength: float) -> Any:
    """Uniform in the logarithm: x2 is as likely as x1/2."""
    low, high = math.log(minimum), math.log(maximum)
    return keras.ops.exp(strength * (low + share * (high - low)))
