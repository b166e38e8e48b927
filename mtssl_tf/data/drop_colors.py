"""Colours dropped, against what a lens does to them.

Lenses shift colours against each other more, the farther from the centre: with
two channels at hand a network tells where in the picture a patch was without
looking at what it shows.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mtssl_tf.data import seeded
from mtssl_tf.lazy_imports import keras

# The noise of a dropped channel, relative to the kept channel's deviation.
_NOISE_SHARE = 0.01  # release: Doersch et al., ICCV 2015, sec. 3.2


def drop_colors(patches: Any, seeds: Any) -> Any:
    """Replaces two of the three channels of each patch by noise.

    Args:
        patches: float32 [B, V, h, w, 3] in [0, 255].
        seeds: int32 [B, 2].

    Returns:
        float32 [B, V, h, w, 3] in [0, 255]: one channel as it was, the others
        its mean plus Gaussian noise of 1/100 of its deviation.
    """
    ops = keras.ops
    num_views, height, width = patches.shape[1:4]
    share = seeded.uniform(
        seeds, seeded.Stream.KEPT_CHANNEL, (num_views, 1, 1, 1)
    )
    kept = ops.cast(3.0 * share, "int32")
    is_kept = ops.equal(
        kept, ops.convert_to_tensor(np.arange(3, dtype="int32"))
    )
    channel = ops.sum(ops.where(is_kept, patches, 0.0), -1, keepdims=True)
    mean = ops.mean(channel, axis=(2, 3, 4), keepdims=True)
    deviation = ops.std(channel, axis=(2, 3, 4), keepdims=True)
    noise = seeded.normal(
        seeds, seeded.Stream.NOISE, (num_views, height, width, 2)
    )
    is_first = ops.roll(is_kept, 1, axis=-1)  # of the two to be replaced
    noise = ops.where(is_first, noise[..., :1], noise[..., 1:])
    filler = mean + _NOISE_SHARE * deviation * noise
    return ops.clip(ops.where(is_kept, channel, filler), 0.0, 255.0)
