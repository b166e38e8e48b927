"""Distortions of a patch that leave what it shows the same.

Ranges are those of Dosovitskiy et al. 2014, sec. 3.1 (release), where nothing
else is said. Geometry is one projective warp of the source picture, so that a
patch is resampled once and its border shows real surroundings.
"""

from __future__ import annotations

import math

from mtssl_tf.lazy_imports import tf

MAX_SHIFT = 0.2  # of the patch's side
MIN_SCALE, MAX_SCALE = 0.7, 1.4
MAX_ROTATION = math.radians(20.0)
MAX_HUE_SHIFT = 0.1
MIN_POWER, MAX_POWER = 0.25, 4.0
MIN_FACTOR, MAX_FACTOR = 0.7, 1.4
MAX_OFFSET = 0.1
MIN_CONTRAST, MAX_CONTRAST = 0.5, 2.0


def distorted_patch(
    image: tf.Tensor,
    place: tf.Tensor,
    patch_px: int,
    color_strength: float,
    seed: tf.Tensor,
) -> tf.Tensor:
    """Cuts a patch, moved, scaled, turned and recoloured at random.

    Args:
        image: float32 [H, W, 3] in [0, 255].
        place: float32 [2] in [0, 1]: where the seed patch lies in the room
            that the picture has in y and x.
        patch_px: side of the patch.
        color_strength: 1 takes the full ranges of contrast, hue, saturation
            and value; 0 leaves colours alone.
        seed: int32 [2].

    Returns:
        float32 [patch_px, patch_px, 3] in [0, 255].
    """
    warp_seed, color_seed = tf.unstack(tf.random.split(seed, 2))
    patch = _random_warp(image, place, patch_px, warp_seed)
    return recolored(patch, color_strength, color_seed)


def recolored(
    picture: tf.Tensor, strength: float, seed: tf.Tensor
) -> tf.Tensor:
    """Changes contrast, hue, saturation and value at random.

    Args:
        picture: float32 [H, W, 3] in [0, 255].
        strength: 1 takes the full ranges; 0 leaves colours alone.
        seed: int32 [2].

    Returns:
        float32 [H, W, 3] in [0, 255].
    """
    color_seed, contrast_seed = tf.unstack(tf.random.split(seed, 2))
    picture = _random_contrast(picture / 255.0, strength, contrast_seed)
    return 255.0 * _random_colors(picture, strength, color_seed)


def warp(
    image: tf.Tensor, transform: tf.Tensor, height: int, width: int
) -> tf.Tensor:
    """Resamples a picture bilinearly, mirrored beyond its border.

    Args:
        image: float32 [H, W, C].
        transform: float32 [8], the projective map (a0, a1, a2, b0, b1, b2,
            c0, c1) from output to input pixels (x, y).
        height: of the result.
        width: of the result.

    Returns:
        float32 [height, width, C].
    """
    warped = tf.raw_ops.ImageProjectiveTransformV3(
        images=image[None],
        transforms=transform[None],
        output_shape=[height, width],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="REFLECT",
    )[0]
    return tf.ensure_shape(warped, [height, width, image.shape[-1]])


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
        float32 [8], as `warp` takes it.
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
            0.0,
            0.0,
        ]
    )


def _random_warp(
    image: tf.Tensor, place: tf.Tensor, patch_px: int, seed: tf.Tensor
) -> tf.Tensor:
    room = tf.cast(tf.shape(image)[:2] - patch_px, tf.float32)
    share = tf.random.stateless_uniform([4], seed)
    shift = (2.0 * share[:2] - 1.0) * MAX_SHIFT * patch_px
    center = place * room + (patch_px - 1) / 2.0 + shift
    scale = MIN_SCALE + share[2] * (MAX_SCALE - MIN_SCALE)
    angle = (2.0 * share[3] - 1.0) * MAX_ROTATION
    transform = patch_transform(center, patch_px, scale, angle)
    return warp(image, transform, patch_px, patch_px)


def _random_contrast(
    patch: tf.Tensor, strength: float, seed: tf.Tensor
) -> tf.Tensor:
    """Scales the patch's colours along their principal components.

    Ours: the components are the patch's own, not those of a data set.
    """
    colors = tf.reshape(patch, [-1, 3])
    mean = tf.reduce_mean(colors, 0)
    centered = colors - mean
    covariance = tf.matmul(centered, centered, transpose_a=True)
    _, axes = tf.linalg.eigh(covariance + 1e-6 * tf.eye(3))
    factors = _random_factor([3], seed, MIN_CONTRAST, MAX_CONTRAST, strength)
    scaled = tf.matmul(tf.matmul(centered, axes) * factors, axes, False, True)
    return tf.reshape(mean + scaled, tf.shape(patch))


def _random_colors(
    patch: tf.Tensor, strength: float, seed: tf.Tensor
) -> tf.Tensor:
    """Shifts hue, and bends saturation and value: v -> f v^p + o."""
    hue_seed, power_seed, factor_seed, offset_seed = tf.unstack(
        tf.random.split(seed, 4)
    )
    hsv = tf.image.rgb_to_hsv(tf.clip_by_value(patch, 0.0, 1.0))
    hue_shift = strength * tf.random.stateless_uniform(
        [], hue_seed, -MAX_HUE_SHIFT, MAX_HUE_SHIFT
    )
    hue = tf.math.floormod(hsv[..., :1] + hue_shift, 1.0)
    power = _random_factor([2], power_seed, MIN_POWER, MAX_POWER, strength)
    factor = _random_factor([2], factor_seed, MIN_FACTOR, MAX_FACTOR, strength)
    offset = strength * tf.random.stateless_uniform(
        [2], offset_seed, -MAX_OFFSET, MAX_OFFSET
    )
    bent = hsv[..., 1:] ** power * factor + offset
    bent = tf.clip_by_value(bent, 0.0, 1.0)
    return tf.image.hsv_to_rgb(tf.concat([hue, bent], -1))


def _random_factor(
    shape: list[int],
    seed: tf.Tensor,
    minimum: float,
    maximum: float,
    strength: float,
) -> tf.Tensor:
    """Draws uniformly in the logarithm: x2 is as likely as x1/2."""
    return tf.exp(
        strength
        * tf.random.stateless_uniform(
            shape, seed, math.log(minimum), math.log(maximum)
        )
    )
