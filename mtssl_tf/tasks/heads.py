"""What the heads of several tasks share.

A layer computes in the type of the features that come in, bfloat16 or
float32, and the last one of a head in float32. Layers are told their type and
data format: what Keras would take in their place is the user's global setting.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mtssl_tf.lazy_imports import keras

# Standard deviation of the last layer of a head: the first prediction is a
# blind guess. With a usual initialisation the first half minute of a small
# run is spent on unlearning noise.
LAST_LAYER_STDDEV = 1e-3  # ours


def dtype_policy(activations: str) -> str:
    """Returns the dtype policy of layers whose activations have this type."""
    return "mixed_bfloat16" if activations == "bfloat16" else "float32"


def norm_relu(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    """Batch norm and ReLU, as every head must start with."""
    from mtssl_tf.models import batch_norm  # a layer: it imports Keras

    dtype = dtype_policy(x.dtype)
    x = batch_norm.BatchNormalization(
        momentum=0.95,  # ours: heads are trained from nothing in short runs
        epsilon=1e-5,
        dtype=dtype,
        name=f"{name}_norm",
    )(x)
    return keras.layers.ReLU(dtype=dtype, name=f"{name}_relu")(x)


def hidden_conv(
    x: keras.KerasTensor, channels: int, name: str
) -> keras.KerasTensor:
    """A 3x3 convolution, batch norm and ReLU, [B, h, w, channels]."""
    x = keras.layers.Conv2D(
        channels,
        3,
        padding="same",
        use_bias=False,
        data_format="channels_last",
        dtype=dtype_policy(x.dtype),
        name=name,
    )(x)
    return norm_relu(x, name)


def hidden_dense(
    x: keras.KerasTensor, units: int, name: str
) -> keras.KerasTensor:
    """A linear layer, batch norm and ReLU, [B, units]."""
    x = keras.layers.Dense(
        units, use_bias=False, dtype=dtype_policy(x.dtype), name=name
    )(x)
    return norm_relu(x, name)


def average(x: keras.KerasTensor) -> keras.KerasTensor:
    """The mean over places, [B, h, w, C] to [B, C]."""
    return keras.layers.GlobalAveragePooling2D(
        data_format="channels_last", dtype=dtype_policy(x.dtype)
    )(x)


def flatten(x: keras.KerasTensor) -> keras.KerasTensor:
    """All values of an example beside each other, [B, h * w * C]."""
    return keras.layers.Flatten(
        data_format="channels_last", dtype=dtype_policy(x.dtype)
    )(x)


def logits(x: keras.KerasTensor, num_classes: int) -> keras.KerasTensor:
    """A head's last layer: [B, C] to float32 [B, num_classes]."""
    return keras.layers.Dense(
        num_classes,
        kernel_initializer=_last_kernel(),
        dtype="float32",
        name="head_logits",
    )(x)


def logits_per_place(
    x: keras.KerasTensor, num_classes: int, bias: np.ndarray | float
) -> keras.KerasTensor:
    """A head's last layer, everywhere: float32 [B, h, w, num_classes].

    Args:
        x: float [B, h, w, C].
        num_classes: K.
        bias: what the layer starts with, float [K] or for all the same.
    """
    return keras.layers.Conv2D(
        num_classes,
        1,
        kernel_initializer=_last_kernel(),
        bias_initializer=_constant(bias),
        data_format="channels_last",
        dtype="float32",
        name="head_logits",
    )(x)


def _last_kernel() -> keras.initializers.Initializer:
    return keras.initializers.RandomNormal(stddev=LAST_LAYER_STDDEV)


def _constant(values: np.ndarray | float) -> Callable:
    """Returns an initializer that gives a bias these values."""

    def initialize(shape, dtype=None):
        return keras.ops.broadcast_to(
            keras.ops.convert_to_tensor(values, dtype), shape
        )

    return initialize
