"""Colours changed at random, for training on targets that people made.

The paper (sec. 5) augments "in translation and color, following" Inception-v4
and leaves mirroring and scale out. Colours follow TF-Slim's
`inception_preprocessing.distort_color` (release): brightness, saturation, hue
and contrast, in one of four orders.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mtssl_tf.data import seeded
from mtssl_tf.lazy_imports import keras

MAX_BRIGHTNESS_SHIFT = 32.0 / 255.0  # release, as the next three
MAX_SATURATION_CHANGE = 0.5
MAX_HUE_SHIFT = 0.2
MAX_CONTRAST_CHANGE = 0.5
_BRIGHTNESS, _SATURATION, _HUE, _CONTRAST = range(4)
ORDERS = (  # release
    (_BRIGHTNESS, _SATURATION, _HUE, _CONTRAST),
    (_SATURATION, _BRIGHTNESS, _CONTRAST, _HUE),
    (_CONTRAST, _HUE, _BRIGHTNESS, _SATURATION),
    (_HUE, _SATURATION, _CONTRAST, _BRIGHTNESS),
)
_STREAM = 201  # of `seeded`


def distort_colors(pictures: Any, strength: float, seeds: Any) -> Any:
    """Changes the colours of each picture at random.

    Args:
        pictures: uint8 or float32 [B, V, h, w, 3] in [0, 255].
        strength: factor on all ranges, at most 1; 0 leaves colours alone.
        seeds: int32 [B, 2].

    Returns:
        float32 [B, V, h, w, 3] in [0, 255].
    """
    ops = keras.ops
    pictures = ops.cast(pictures, "float32")
    if strength == 0:
        return pictures
    num_views, height, width = pictures.shape[1:4]
    share = seeded.uniform(seeds, _STREAM, (num_views, 5))
    changed = change_colors(
        ops.reshape(pictures / 255.0, (-1, height, width, 3)),
        strength,
        ops.reshape(share, (-1, 5)),
    )
    return 255.0 * ops.reshape(changed, (-1, num_views, height, width, 3))


def change_colors(pictures: Any, strength: float, share: Any) -> Any:
    """Makes the four changes, each picture's in its own order.

    Args:
        pictures: float32 [N, h, w, 3] in [0, 1].
        strength: factor on all ranges, at most 1.
        share: float32 [N, 5], uniform in [0, 1): of the ranges of brightness,
            saturation, hue and contrast, and of the orders.

    Returns:
        float32 [N, h, w, 3] in [0, 1].
    """
    ops = keras.ops
    around = strength * (2.0 * share[:, :4] - 1.0)
    brightness = MAX_BRIGHTNESS_SHIFT * around[:, _BRIGHTNESS]
    saturation = 1.0 + MAX_SATURATION_CHANGE * around[:, _SATURATION]
    hue = MAX_HUE_SHIFT * around[:, _HUE]
    contrast = 1.0 + MAX_CONTRAST_CHANGE * around[:, _CONTRAST]
    order = ops.cast(len(ORDERS) * share[:, 4], "int32")
    for kinds in np.transpose(ORDERS).astype("int32"):
        kind = ops.take(ops.convert_to_tensor(kinds), order)
        pictures = ops.where(
            _wide(ops.logical_or(kind == _SATURATION, kind == _HUE)),
            _change_hsv(
                pictures,
                ops.where(kind == _HUE, hue, 0.0),
                saturation,
                kind == _SATURATION,
            ),
            _change_linearly(
                pictures,
                ops.where(kind == _CONTRAST, contrast, 1.0),
                ops.where(kind == _BRIGHTNESS, brightness, 0.0),
            ),
        )
    return ops.clip(pictures, 0.0, 1.0)


def _change_hsv(
    pictures: Any, hue: Any, saturation: Any, is_saturation: Any
) -> Any:
    """Shifts hues, and scales saturations where told, [N] each."""
    ops = keras.ops
    hsv = ops.image.rgb_to_hsv(pictures)
    scaled = ops.clip(hsv[..., 1:2] * _wide(saturation), 0.0, 1.0)
    parts = [
        ops.mod(hsv[..., :1] + _wide(hue), 1.0),
        ops.where(_wide(is_saturation), scaled, hsv[..., 1:2]),
        hsv[..., 2:],
    ]
    return ops.image.hsv_to_rgb(ops.concatenate(parts, -1))


def _change_linearly(pictures: Any, contrast: Any, brightness: Any) -> Any:
    """Scales around the mean of each channel, and shifts, [N] each."""
    mean = keras.ops.mean(pictures, axis=(1, 2), keepdims=True)
    scaled = (pictures - mean) * _wide(contrast) + mean
    return scaled + _wide(brightness)


def _wide(values: Any) -> Any:
    """[N] to [N, 1, 1, 1]."""
    return values[:, None, None, None]
