"""Colours changed at random, for training on targets that people made.

The paper (sec. 5) augments "in translation and color, following" Inception-v4
and leaves mirroring and scale out. Colours follow TF-Slim's
`inception_preprocessing.distort_color` (release): brightness, saturation, hue
and contrast, in one of four orders.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mtssl_tf.data import hue as hue_lib
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
    share = seeded.uniform(seeds, seeded.Stream.INCEPTION, (num_views, 5))
    changed = change_colors(
        ops.reshape(pictures / 255.0, (-1, height, width, 3)),
        strength,
        ops.reshape(share, (-1, 5)),
    )
    return 255.0 * ops.reshape(changed, (-1, num_views, height, width, 3))


def change_colors(pictures: Any, strength: float, share: Any) -> Any:
    """Makes the four changes, each picture's in its own order.

    Hue and saturation can change places, as can brightness and contrast. So
    all orders are parts of one, which changes hues once: with a saturation
    and a contrast on both sides of it, each for some of the pictures.

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

    def of(*orders: int) -> Any:
        is_one = np.isin(np.arange(len(ORDERS)), orders)
        return ops.take(ops.convert_to_tensor(is_one), order)  # [N]

    channels = hue_lib.split(pictures)
    channels = _saturate(channels, saturation, of(1, 3))
    channels = _change_contrast(channels, contrast, of(1, 2))
    channels = _brighten(channels, brightness, of(0, 1))
    channels = _turn_hue(channels, hue)
    channels = _brighten(channels, brightness, of(2, 3))
    channels = _saturate(channels, saturation, of(0, 2))
    channels = _change_contrast(channels, contrast, of(0, 3))
    return ops.clip(hue_lib.join(channels), 0.0, 1.0)


# Each takes and returns channels, with a number for each picture, [N].


def _brighten(
    channels: hue_lib.Channels, shift: Any, where: Any
) -> hue_lib.Channels:
    shift = _wide(keras.ops.where(where, shift, 0.0))
    return [channel + shift for channel in channels]


def _change_contrast(
    channels: hue_lib.Channels, factor: Any, where: Any
) -> hue_lib.Channels:
    """Scales around the mean of each channel."""
    factor = _wide(keras.ops.where(where, factor, 1.0))
    means = [
        keras.ops.mean(channel, axis=(1, 2), keepdims=True)
        for channel in channels
    ]
    return [
        channel * factor + (1.0 - factor) * mean
        for channel, mean in zip(channels, means, strict=True)
    ]


def _saturate(
    channels: hue_lib.Channels, factor: Any, where: Any
) -> hue_lib.Channels:
    """Scales saturations, (highest - lowest) / highest, to at most 1."""
    ops = keras.ops
    highest, lowest = hue_lib.ends(channels)
    at_most = highest / ops.maximum(highest - lowest, hue_lib.TINY)
    # What is black or below it is grey, as in the release.
    factor = ops.where(highest > 0.0, ops.minimum(_wide(factor), at_most), 0.0)
    factor = ops.where(_wide(where), factor, 1.0)
    return [highest - (highest - channel) * factor for channel in channels]


def _turn_hue(channels: hue_lib.Channels, shift: Any) -> hue_lib.Channels:
    """Turns hues by a part of the circle; keeps highest and lowest."""
    highest, lowest = hue_lib.ends(channels)
    shares = hue_lib.turned(channels, highest, lowest, _wide(shift))
    span = highest - lowest
    return [lowest + span * share for share in shares]


def _wide(values: Any) -> Any:
    """[N] to [N, 1, 1]."""
    return values[:, None, None]
