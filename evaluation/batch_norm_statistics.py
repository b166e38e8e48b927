"""Re-estimates batch norm's moving statistics before a model is judged.

A trunk that was trained on several input distributions has moving statistics
of a mixture that no evaluation shows it; and where weights still move, a
moving average lags behind them. No targets are used here.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import keras
import numpy as np
import tensorflow as tf


def reestimate_batch_norm(model: keras.Model, batches: Iterable[Any]) -> None:
    """Replaces the moving statistics by those of the given inputs.

    Every layer gets the mean and variance over all batches while each batch
    is normalised by its own, as in training. Decay plays no part: every
    batch counts alike (batches should have one size).

    Args:
        model: whose statistics are set; nothing else in it changes.
        batches: inputs of the model.

    Raises:
        ValueError: there is no batch.
    """
    layers = [
        layer
        for layer in model._flatten_layers()  # Keras has no public name.
        if isinstance(layer, keras.layers.BatchNormalization)
    ]
    decays = [layer.momentum for layer in layers]
    was_trainable = [layer.trainable for layer in layers]
    for layer in layers:
        layer.momentum = 0.0  # the moving value is then the batch's own
        layer.trainable = True  # frozen ones ignore training=True
    try:
        means, variances = _collect(model, layers, batches)
    finally:
        for layer, decay, trainable in zip(layers, decays, was_trainable):
            layer.momentum = decay
            layer.trainable = trainable
    for index, layer in enumerate(layers):
        mean = np.stack([batch[index] for batch in means])  # [batches, C]
        variance = np.stack([batch[index] for batch in variances])
        layer.moving_mean.assign(mean.mean(axis=0))
        # Within batches, and between them.
        layer.moving_variance.assign(variance.mean(axis=0) + mean.var(axis=0))


def _collect(
    model: keras.Model,
    layers: list[keras.layers.BatchNormalization],
    batches: Iterable[Any],
) -> tuple[list[list[np.ndarray]], list[list[np.ndarray]]]:
    """Returns means and variances: a list a batch of one [C] a layer."""

    @tf.function(jit_compile=False, reduce_retracing=True, autograph=False)
    def pass_through(inputs):
        model(inputs, training=True)

    means, variances = [], []
    for inputs in batches:
        pass_through(inputs)
        means.append([layer.moving_mean.numpy() for layer in layers])
        variances.append([layer.moving_variance.numpy() for layer in layers])
    if not means:
        raise ValueError(
            "Statistics need at least one batch. Set bn_batches to 1 or more."
        )
    return means, variances
