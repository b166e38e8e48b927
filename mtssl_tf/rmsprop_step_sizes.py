"""How far RMSProp moves each entry of a variable: what a proximal step needs.

A proximal step takes the optimizer's own step size. RMSProp scales it entry
by entry, and momentum repeats each step 1 / (1 - momentum) times in all. A
threshold that leaves this out is too small by that factor, and noise keeps
units on that should be off (docs/lasso.md).
"""

from __future__ import annotations

from typing import Any

from mtssl_tf.lazy_imports import keras


def rmsprop_step_sizes(
    optimizer: keras.optimizers.RMSprop, variable: keras.Variable
) -> Any:
    """The effective learning rate of every entry of `variable`.

    Args:
        optimizer: built for `variable` among others; not centered.
        variable: what it updates.

    Returns:
        float32 of the variable's shape, positive.
    """
    index = optimizer._get_variable_index(variable)  # Keras has no public way.
    mean_square = keras.ops.convert_to_tensor(optimizer._velocities[index])
    return keras.ops.cast(optimizer.learning_rate, "float32") / (
        (1.0 - optimizer.momentum)
        * keras.ops.sqrt(mean_square + optimizer.epsilon)
    )
