"""Colours to soft bins and back (Zhang et al. 2016, sec. 2.1 and 2.3)."""

from __future__ import annotations

import numpy as np

from mtssl_tf.data import ab_bins
from mtssl_tf.lazy_imports import keras
from mtssl_tf.lazy_imports import tf

NUM_NEIGHBORS = 5  # release: Zhang et al., sec. 2.1; their code uses 10
SIGMA = 5.0  # release: Zhang et al., sec. 2.1
ANNEALED_TEMPERATURE = 0.38  # release: Zhang et al., sec. 2.3


def soft_encode(ab: tf.Tensor) -> tf.Tensor:
    """Spreads colours over their nearest bins.

    Args:
        ab: float32 [..., 2] in CIE Lab units.

    Returns:
        float32 [..., 313], each summing to 1, with 5 entries above 0.
    """
    ops = keras.ops
    bins = ops.convert_to_tensor(ab_bins.build_ab_bins())
    # |x - c|^2 less |x|^2, which is the same for every bin; it is added back
    # through the nearest distance, which also keeps exp() in range.
    distance = ops.sum(bins**2, -1) - 2.0 * ops.matmul(ab, ops.transpose(bins))
    nearest = -ops.top_k(-distance, NUM_NEIGHBORS)[0]
    weight = ops.exp((nearest[..., :1] - distance) / (2.0 * SIGMA**2))
    weight = ops.where(distance <= nearest[..., -1:], weight, 0.0)
    return weight / ops.sum(weight, -1, keepdims=True)


def annealed_mean(logits: np.ndarray) -> np.ndarray:
    """Decodes a prediction to one colour a pixel.

    Args:
        logits: float [..., 313].

    Returns:
        float32 [..., 2], between the mode and the mean of the prediction.
    """
    scaled = logits / ANNEALED_TEMPERATURE
    scaled = scaled - scaled.max(-1, keepdims=True)
    weight = np.exp(scaled)
    weight /= weight.sum(-1, keepdims=True)
    return (weight @ ab_bins.build_ab_bins()).astype(np.float32)


def rebalancing_weights(prior: np.ndarray, uniform_share: float) -> np.ndarray:
    """Returns the loss weight of each bin: rare colours count more.

    Args:
        prior: float [313], share of each bin in the data, summing to 1.
        uniform_share: lambda, in (0, 1]: 1 weighs every bin alike.

    Returns:
        float32 [313], whose expectation under `prior` is 1.
    """
    uniform = 1.0 / len(prior)
    weights = 1.0 / ((1.0 - uniform_share) * prior + uniform_share * uniform)
    return (weights / np.sum(prior * weights)).astype(np.float32)
