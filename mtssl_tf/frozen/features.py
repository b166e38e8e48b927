"""Features of a frozen trunk: units in inference mode, pooled, flattened."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
import math
from typing import Any

import numpy as np

from mtssl_tf.lazy_imports import keras
from mtssl_tf.lazy_imports import tf
from mtssl_tf.models import input_contract

GRID = 3  # paper, sec. 5: 3 x 3 x 1024 features


def pool_to_grid(features: Any, grid: int = GRID) -> Any:
    """Max-pools to `grid` x `grid` cells that cover everything.

    On the paper's 7 x 7 this is its pool of 3 x 3 at stride 2; elsewhere
    stride and window follow from the size in the same way.

    Args:
        features: float [B, h, w, C].
        grid: cells a side.

    Returns:
        float [B, grid, grid, C].

    Raises:
        ValueError: there are fewer than `grid` positions a side.
    """
    height, width = features.shape[1:3]
    if min(height, width) < grid:
        raise ValueError(
            f"Features of {height} x {width} can't be pooled to {grid} x "
            f"{grid}. Use larger pictures or a smaller output stride."
        )
    strides = (height // grid, width // grid)
    window = (
        height - (grid - 1) * strides[0],
        width - (grid - 1) * strides[1],
    )
    return keras.ops.max_pool(
        features,
        window,
        strides,
        padding="valid",
        data_format="channels_last",
    )


def flatten(features: Any) -> Any:
    """Returns float [B, h, w, C] as [B, h * w * C]."""
    return keras.ops.reshape(features, (-1, math.prod(features.shape[1:])))


def build_extractor(
    trunk: keras.Model,
    contract: input_contract.InputContract,
    unit_names: Sequence[str],
) -> Callable[[tf.Tensor], tf.Tensor]:
    """Builds a function from pictures to pooled features of some units.

    Args:
        trunk: is called in inference mode.
        contract: of its input.
        unit_names: units of one shape.

    Returns:
        uint8 [B, H, W, 3] -> float32 [B, N, grid * grid * C].
    """

    @tf.function(jit_compile=False, reduce_retracing=True, autograph=False)
    def extract(images: tf.Tensor) -> tf.Tensor:
        units = trunk(contract.apply(images), training=False)
        flat = [flatten(pool_to_grid(units[name])) for name in unit_names]
        return tf.cast(tf.stack(flat, axis=1), tf.float32)  # [B, N, D]

    return extract


def extract_all(
    extract: Callable[[tf.Tensor], tf.Tensor], batches: Iterable
) -> tuple[np.ndarray, np.ndarray]:
    """Extracts the features of all batches.

    Args:
        extract: of `build_extractor`.
        batches: of (pictures, classes).

    Returns:
        (float32 [n, N, D], int32 [n]).
    """
    features, classes = [], []
    for images, numbers in batches:
        features.append(extract(images).numpy())
        classes.append(numbers.numpy())
    return np.concatenate(features), np.concatenate(classes)
