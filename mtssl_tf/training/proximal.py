"""The lasso's step after an optimizer's: how far it goes.

Whatever trains a `LassoMix`, pretraining or an evaluation, takes the step from
here, so that one `l1` means the same everywhere.
"""

from __future__ import annotations

from typing import Any

import keras

from mtssl_tf.models import lasso_mix


def step_sizes(optimizer: Any, variable: keras.Variable) -> Any:
    """Returns how far the step just taken goes for a gradient of one.

    That is the step summed over all that momentum repeats of it: a gradient
    that stays the same ends up moving a weight by this times the gradient at
    each step, 1 / (1 - momentum) times as far as the learning rate says.

    Args:
        optimizer: built for `variable` among others, after a step. Keras's
            RMSprop (not centered) or SGD, or tf_keras's SGD.
        variable: what it updates.

    Returns:
        float32 [], or of the variable's shape where the optimizer scales its
        steps weight by weight; positive.

    Raises:
        TypeError: it is another optimizer.
    """
    if isinstance(optimizer, keras.optimizers.RMSprop):
        # Keras has no public way to either.
        index = optimizer._get_variable_index(variable)
        mean_square = keras.ops.convert_to_tensor(optimizer._velocities[index])
        scale = keras.ops.sqrt(mean_square + optimizer.epsilon)
        return _last_rate(optimizer) / ((1.0 - optimizer.momentum) * scale)
    if isinstance(optimizer, keras.optimizers.SGD):
        return _last_rate(optimizer) / (1.0 - optimizer.momentum)
    # Only detection trains with tf_keras, and only it waits for the import.
    import tf_keras

    if isinstance(optimizer, tf_keras.optimizers.SGD):
        # It keeps the rate of its last step, with a schedule too.
        rate = keras.ops.cast(optimizer.learning_rate, "float32")
        return rate / (1.0 - optimizer.momentum)
    kind = type(optimizer)
    raise TypeError(
        "How far a step goes is known of Keras's RMSprop and SGD and of "
        f"tf_keras's SGD, not of {kind.__module__}.{kind.__name__}. Add it to "
        "mtssl_tf.training.proximal, or train the mix with proximal=False."
    )


def take_proximal_step(
    mix: lasso_mix.LassoMix | None, optimizer: Any, share: Any = 1.0
) -> None:
    """Follows the step that the optimizer just took with the lasso's.

    Args:
        mix: shrunk where its penalties are proximal; otherwise they are in
            the loss, and nothing is left to do, nor without a mix.
        optimizer: as `step_sizes` takes it.
        share: of the step to take, float32 []; 0 leaves the mix as it is.
    """
    if mix is not None and mix.lasso.proximal:
        mix.proximal_step(share * step_sizes(optimizer, mix.raw_weights))


def _last_rate(optimizer: keras.optimizers.Optimizer) -> Any:
    """Returns the learning rate of the step just taken, float32 [].

    The step counts itself when it is done, so `optimizer.learning_rate` is by
    then the next one's. With a schedule that is another number: after a first
    step at rate 0, where nothing moved, it would already shrink the mix.
    """
    rate = optimizer._learning_rate  # Keras has no public way.
    if isinstance(rate, keras.optimizers.schedules.LearningRateSchedule):
        rate = rate(optimizer.iterations - 1)
    return keras.ops.cast(rate, "float32")
