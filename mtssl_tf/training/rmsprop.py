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
    is_fixed = isinstance(learning_rate, float)
    optimizer = keras.optimizers.RMSprop(
        (lambda: learning_rate) if is_fixed else learning_rate,
        rho=decay,
        momentum=momentum,
        epsilon=epsilon,
    )
    if is_fixed:
        _keep_rate(optimizer, learning_rate)
    optimizer.build(variables)
    for mean_square in optimizer._velocities:  # Keras has no public name.
        mean_square.assign(keras.ops.ones_like(mean_square))
    return optimizer


def _keep_rate(
    optimizer: keras.optimizers.RMSprop, learning_rate: float
) -> None:
    """Keeps the rate in a float32 variable, where checkpoints have it.

    The one that Keras makes has the type that the user set for all of Keras:
    in float16 a rate of 1e-8 is 0.
    """
    variable = keras.Variable(
        learning_rate,
        dtype="float32",
        trainable=False,
        aggregation="only_first_replica",
        name="learning_rate",
    )
    # As Keras's own constructor does; it has no public way.
    optimizer._track_variable(variable)
    optimizer._learning_rate = variable
