"""What a model costs to run, counted from its layers."""

from __future__ import annotations

import math
from typing import Any

from mtssl_tf.lazy_imports import keras


def trunk_flops(trunk: keras.Model, input_shape: tuple[int, ...]) -> int:
    """Counts the floating-point operations of a forward pass.

    Only convolutions count, a multiplication and an addition each; batch
    norm, ReLU, pooling and sums are below one percent of a ResNet. A training
    step takes about three forward passes.

    Args:
        trunk: a functional model; a block 4 does as well.
        input_shape: (B, H, W, C), all known.

    Returns:
        Operations of the whole batch.
    """
    if None in input_shape:
        raise ValueError(
            "trunk_flops needs every dimension of the input, got "
            f"{input_shape}."
        )
    flops = 0

    def apply(layer: keras.Layer, *args: Any, **kwargs: Any) -> Any:
        nonlocal flops
        outputs = layer(*args, **kwargs)
        kernel = _find_kernel(layer)
        if kernel is not None:
            # Each output value sums over the kernel's height, width and
            # input channels.
            flops += 2 * math.prod(kernel.shape[:3]) * math.prod(outputs.shape)
        return outputs

    # Applies the same layers to an input of known size.
    keras.models.clone_model(
        trunk,
        input_tensors=keras.Input(batch_shape=input_shape, dtype="float32"),
        clone_function=lambda layer: layer,
        call_function=apply,
    )
    return flops


def _find_kernel(layer: keras.Layer) -> keras.Variable | None:
    """Returns the kernel of a convolution, also of one that shares it."""
    for variable in layer.weights:
        if variable.name == "kernel" and len(variable.shape) == 4:
            return variable
    return None
