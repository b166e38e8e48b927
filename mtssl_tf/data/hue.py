"""Hues of a batch of pictures, turned at random.

Channels stand apart, so that nothing has to be moved in memory, and a hue is
never stored: its place on the circle says at once how far each channel lies
between the lowest and the highest of a pixel.
"""

from __future__ import annotations

from typing import Any

from mtssl_tf.lazy_imports import keras

# Red, green and blue, float32 [N, h, w] each.
Channels = list[Any]
TINY = 1e-12  # in place of nothing, where it divides


def split(pictures: Any) -> Channels:
    """Returns the channels of float32 [N, h, w, 3]."""
    return [pictures[..., number] for number in range(3)]


def join(channels: Channels) -> Any:
    """Returns float32 [N, h, w, 3]."""
    return keras.ops.stack(channels, -1)


def ends(channels: Channels) -> tuple[Any, Any]:
    """Returns the highest and the lowest channel at each pixel, [N, h, w]."""
    ops = keras.ops
    red, green, blue = channels
    return (
        ops.maximum(ops.maximum(red, green), blue),
        ops.minimum(ops.minimum(red, green), blue),
    )


def turned(channels: Channels, highest: Any, lowest: Any, shift: Any) -> Any:
    """Turns hues by a part of the circle.

    Args:
        channels: of any range.
        highest: of `ends`.
        lowest: of `ends`.
        shift: float32 [N, 1, 1]; 1 is the whole circle.

    Returns:
        For each channel, float32 [N, h, w]: 0 where it is now to be the
        lowest, 1 where the highest.
    """
    ops = keras.ops
    red, green, blue = channels
    is_red, is_green = red == highest, green == highest
    within = ops.where(
        is_red, green - blue, ops.where(is_green, blue - red, red - green)
    )
    sector = ops.where(is_red, 0.0, ops.where(is_green, 2.0, 4.0))
    hue = within / ops.maximum(highest - lowest, TINY)
    hue = hue + (sector + 6.0 * shift)
    hue = hue - 6.0 * ops.floor(hue / 6.0)  # red is 0, green 2, blue 4
    shares = (
        ops.abs(hue - 3.0) - 1.0,
        2.0 - ops.abs(hue - 2.0),
        2.0 - ops.abs(hue - 4.0),
    )
    return [ops.clip(share, 0.0, 1.0) for share in shares]
