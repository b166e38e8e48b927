"""RMSProp as TensorFlow 1 had it, which the paper trained with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mtssl_tf.lazy_imports import keras
from mtssl_tf.lazy_imports import tf


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
        mean_square.assign(keras.ops.ones(mean_square.shape, mean_square.dtype))
    return optimizer


def take_step(
    optimizer: keras.optimizers.RMSprop,
    variables: Sequence[keras.Variable],
    gradients: Sequence[tf.Tensor | None],
    is_finite: tf.Tensor | None = None,
) -> None:
    """Steps each variable in one operation, where Keras takes eight.

    With several replicas each steps its own copies, so the gradients must be
    the same on all.

    Where something is not finite no weight and no mean square moves. That
    takes no branch: one would have the host wait for a GPU to know which way
    to go. The momentum is lost, and nobody goes on from such a step.

    Args:
        optimizer: of `build_rmsprop`, for these variables among others.
        variables: of float32.
        gradients: of each; None leaves a variable as it is.
        is_finite: bool [], whether to step; None is yes.
    """
    rate = keras.ops.cast(optimizer.learning_rate, "float32")
    decay, momentum = optimizer.rho, optimizer.momentum
    if is_finite is not None:
        rate = tf.where(is_finite, rate, 0.0)
        decay = tf.where(is_finite, decay, 1.0)
        momentum = tf.where(is_finite, momentum, 0.0)
        mask = tf.cast(is_finite, tf.float32)
    for variable, gradient in zip(variables, gradients, strict=True):
        if gradient is None:
            continue
        if is_finite is not None:
            gradient = tf.math.multiply_no_nan(gradient, mask)
        index = optimizer._get_variable_index(variable)
        mean_square = optimizer._velocities[index].value.handle
        if optimizer._momentums:
            update(
                variable.value.handle,
                mean_square,
                optimizer._momentums[index].value.handle,
                gradient,
                rate,
                decay,
                momentum,
                optimizer.epsilon,
            )
        else:
            _update_without_momentum(
                variable.value.handle,
                mean_square,
                gradient,
                rate,
                decay,
                optimizer.epsilon,
            )
        if variable.constraint is not None:
            variable.assign(variable.constraint(variable))
    steps = optimizer.iterations.value
    tf.raw_ops.AssignAddVariableOp(
        resource=steps.handle, value=tf.ones([], steps.dtype)
    )


def update(
    variable: tf.Tensor,
    mean_square: tf.Tensor,
    momentum_slot: tf.Tensor,
    gradient: Any,
    rate: Any,
    decay: Any,
    momentum: Any,
    epsilon: float,
) -> None:
    """Steps one variable by TensorFlow 1's own operation.

    Args:
        variable: handle of what is stepped, as are the next two.
        mean_square: of the gradients.
        momentum_slot: the last step.
        gradient: of the variable's type and shape; a tensor or an array.
        rate: float32 [], as are the next two: floats or tensors.
        decay: of the mean square.
        momentum: how much of the last step is repeated.
        epsilon: added to the mean square.
    """
    tf.raw_ops.ResourceApplyRMSProp(
        var=variable,
        ms=mean_square,
        mom=momentum_slot,
        lr=rate,
        rho=decay,
        momentum=momentum,
        epsilon=epsilon,
        # Not `tf.constant` of an array, which copies; it is only read.
        grad=gradient,
        use_locking=True,
    )


def _update_without_momentum(
    variable: tf.Tensor,
    mean_square: tf.Tensor,
    gradient: tf.Tensor,
    rate: Any,
    decay: Any,
    epsilon: float,
) -> None:
    """The same where there is no slot for the momentum."""
    before = tf.raw_ops.ReadVariableOp(
        resource=mean_square, dtype=gradient.dtype
    )
    after = before + (tf.square(gradient) - before) * (1.0 - decay)
    tf.raw_ops.AssignVariableOp(resource=mean_square, value=after)
    tf.raw_ops.AssignSubVariableOp(
        resource=variable,
        value=rate * gradient * tf.math.rsqrt(after + epsilon),
    )


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
