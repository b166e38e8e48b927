"""One vector a picture: a unit or mix, standardised, pooled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mtssl_tf.frozen import features as features_lib
from mtssl_tf.frozen import reading as reading_lib
from mtssl_tf.frozen import statistics as statistics_lib
from mtssl_tf.lazy_imports import keras
from mtssl_tf.lazy_imports import tf
from mtssl_tf.models import input_contract

# float [B, h, w, C] -> [B, D]: D is C, C and 9 C.
POOLS: dict[str, Callable[[Any], Any]] = {
    "mean": lambda features: keras.ops.mean(features, (1, 2)),
    "max": lambda features: keras.ops.max(features, (1, 2)),
    "grid3": lambda features: features_lib.flatten(
        features_lib.pool_to_grid(features)
    ),
}


def build_vectors(
    trunk: keras.Model,
    contract: input_contract.InputContract,
    reading: reading_lib.Reading,
    pool: str,
    statistics: statistics_lib.ChannelStatistics | None,
    size_px: tuple[int, int],
) -> Callable[[tf.Tensor], tf.Tensor]:
    """Builds a function from pictures to vectors.

    Args:
        trunk: is called in inference mode.
        contract: of its input.
        reading: a unit, or a mix of units of one size.
        pool: one of `POOLS`.
        statistics: standardise before ReLU and pool; None leaves the raw sum.
        size_px: H and W.

    Returns:
        uint8 [B, H, W, 3] -> float32 [B, D].
    """

    # One graph for every size of a batch: a graph for batches of 64 gives
    # another last digit, and who goes on would not get the same vectors.
    spec = tf.TensorSpec([None, *size_px, 3], tf.uint8)

    @tf.function(jit_compile=False, input_signature=[spec], autograph=False)
    def extract(images: tf.Tensor) -> tf.Tensor:
        units = trunk(contract.apply(images), training=False)
        features = reading.apply(units)
        if statistics is not None:
            features = statistics.apply(features)
        return tf.cast(POOLS[pool](features), tf.float32)  # [B, D]

    return extract
