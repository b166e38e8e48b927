"""How fast an evaluation is beside its trunk's bare forward pass."""

from __future__ import annotations

from collections.abc import Callable
import statistics
import time
from typing import Any

import tensorflow as tf

_NUM_BATCHES = 5


def bare_forward_pictures_per_s(
    forward: Callable[[tf.Tensor], Any], batch_size: int, image_px: int
) -> float:
    """Times the forward pass on one batch that is there already.

    Args:
        forward: uint8 [B, H, W, 3] -> anything; traced by the first call.
        batch_size: B.
        image_px: H and W.

    Returns:
        Pictures a second, by the median of some batches.
    """
    images = tf.zeros([batch_size, image_px, image_px, 3], tf.uint8)
    forward(images)
    times = []
    for _ in range(_NUM_BATCHES):
        start = time.perf_counter()
        # To NumPy: on a GPU the call alone returns at once.
        tf.nest.map_structure(lambda unit: unit[0, 0].numpy(), forward(images))
        times.append(time.perf_counter() - start)
    return batch_size / statistics.median(times)
