"""RMSProp as TensorFlow 1 had it, which the paper trained with."""

from __future__ import annotations

from collections.abc import Sequence

from mtssl_tf.lazy_imports import keras


def build_rmsprop(
    variables: Sequence[keras.Variable],
    learning_rate: float | keras.optimizers.schedules.LearningRateSchedule,
    decay: float,
    momentum: float,
    epsilon: float,
) -> keras.optimizers.RMSprop:
    """Builds an optimizer that steps like `tf.compat.v1.train`'s.

    TensorFlow 1 starts the mean square at one, Keras at zero, where the first
    steps are up to 1 / sqrt(1 - decay) times the learning rate whatever the
    gradient is. Both have epsilon inside the square root.

    Args:
        variables: what the optimizer updates; it is built for these.
        learning_rate: step size.
        decay: of the mean square, in [0, 1).
        momentum: in [0, 1).
        epsilon: added to the mean square.

    Returns:
        A built optimizer. Inside a distribution strategy call this in its
        scope.
    """
    optimizer = keras.optimizers.RMSprop(
        learning_rate, rho=decay, momentum=momentum, epsilon=epsilon
    )
    optimizer.build(variables)
    for mean_square in optimizer._velocities:  # Keras has no public name.
        mean_square.assign(keras.ops.ones_like(mean_square))
    return optimizer
