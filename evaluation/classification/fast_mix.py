"""Learns a lasso mix of frozen units on their cached, pooled features.

Two deviations from the paper's mix, both ours and only in the fast protocol.
Pooling comes before mixing, since it is the pooled features that are cached.
And a linear layer that separates its training pictures leaves the mix no
gradient, so the training pictures are cut in two: one half fits the linear
layer, the other the mix, in turns.
"""

from __future__ import annotations

from collections.abc import Callable
import dataclasses

import numpy as np
import tensorflow as tf

from mtssl_tf.frozen import softmax_regression
from mtssl_tf.models import config as model_config
from mtssl_tf.models import lasso_mix

_STEPS_A_ROUND = 200  # ours, as is the next; the mix has settled long before
_LEARNING_RATE = 0.02
_MAX_ITERATIONS = 60  # of the linear layer, which changes again next round


def apply_mix(units: np.ndarray, mix: np.ndarray) -> np.ndarray:
    """Mixes pooled features: float32 [n, N, D] and [N] to [n, D]."""
    return np.einsum("und,n->ud", units, mix)


def learn_mix(
    units: np.ndarray,
    classes: np.ndarray,
    num_classes: int,
    lasso: model_config.LassoConfig,
    l2: float,
    num_rounds: int,
    seed: int,
) -> np.ndarray:
    """Learns which units a linear classifier reads.

    Args:
        units: float32 [n, N, D], pooled features of N units.
        classes: int32 [n] in [0, K).
        num_classes: K.
        lasso: settings of the mix; the penalty is always applied as a
            proximal step here, so that zeros are exact.
        l2: penalty of the linear layer.
        num_rounds: turns between linear layer and mix.
        seed: of the two halves.

    Returns:
        float32 [N] of norm 1.
    """
    num_units = units.shape[1]
    mix = lasso_mix.build(
        dataclasses.replace(lasso, proximal=True), dtype="float32"
    )
    mix.build([(None, 1, 1, num_classes)] * num_units)
    take_steps = _build_mix_steps(mix, num_units, num_classes)
    order = np.random.default_rng(seed).permutation(len(units))
    halves = np.array_split(order, 2)
    for number in range(num_rounds):
        fit_on, mix_on = halves if number % 2 == 0 else halves[::-1]
        classifier = softmax_regression.fit_softmax_regression(
            apply_mix(units[fit_on], mix.mixing_weights()),
            classes[fit_on],
            num_classes,
            l2,
            _MAX_ITERATIONS,
        )
        scaled = classifier.weights / classifier.std[:, None]  # [D, K]
        # A classifier is linear in the units: each gives its share of the
        # logits, and the mix sums the shares.
        centred = units[mix_on] - units[fit_on].mean(axis=0)
        shares = centred @ scaled  # [n, N, K]
        take_steps(shares, classifier.bias, classes[mix_on])
    return mix.mixing_weights()


def _build_mix_steps(
    mix: lasso_mix.LassoMix, num_units: int, num_classes: int
) -> Callable:
    """Builds the proximal gradient steps of one round.

    Returns:
        A function of each unit's share of the logits, float32 [n, N, K], the
        linear layer's bias, float32 [K], and classes, int32 [n].
    """

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, num_units, num_classes], tf.float32),
            tf.TensorSpec([num_classes], tf.float32),
            tf.TensorSpec([None], tf.int32),
        ],
        jit_compile=False,
        autograph=True,  # for the loop
    )
    def take_steps(shares, bias, classes):
        units = tf.unstack(shares[:, :, None, None], axis=1)  # [n, 1, 1, K]
        for _ in tf.range(_STEPS_A_ROUND):
            with tf.GradientTape() as tape:
                logits = mix(units)[:, 0, 0] + bias
                loss = tf.reduce_mean(
                    tf.nn.sparse_softmax_cross_entropy_with_logits(
                        classes, logits
                    )
                )
            gradient = tape.gradient(loss, mix.raw_weights.value)
            mix.raw_weights.assign_sub(_LEARNING_RATE * gradient)
            mix.proximal_step(_LEARNING_RATE)

    return take_steps
