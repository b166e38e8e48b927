"""What the heads of several tasks share."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mtssl_tf.lazy_imports import keras

# Standard deviation of the last layer of a head: the first prediction is a
# blind guess. With a usual initialisation the first half minute of a small
# run is spent on unlearning noise.
LAST_LAYER_STDDEV = 1e-3  # ours


def norm_relu(features: keras.KerasTensor, name: str) -> keras.KerasTensor:
    """Batch norm and ReLU, as every head must start with."""
    normalized = keras.layers.BatchNormalization(
        momentum=0.95,  # ours: heads are trained from nothing in short runs
        epsilon=1e-5,
        name=f"{name}_norm",
    )(features)
    return keras.layers.ReLU(name=f"{name}_relu")(normalized)


def last_layer_initializer() -> keras.initializers.Initializer:
    """Returns the initializer of a head's last kernel."""
    return keras.initializers.RandomNormal(stddev=LAST_LAYER_STDDEV)


def constant_bias(values: np.ndarray | float) -> Callable:
    """Returns an initializer that gives a head's last bias these values."""

    def initialize(shape, dtype=None):
        return keras.ops.broadcast_to(
            keras.ops.convert_to_tensor(values, dtype), shape
        )

    return initialize
