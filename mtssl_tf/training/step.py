"""One training step of one task: gradients, then that task's RMSProp.

As functions for one replica, and compiled over all devices of a strategy.
"""

from __future__ import annotations

from collections.abc import Callable
import dataclasses
from typing import Any

import keras
import tensorflow as tf

from mtssl_tf.reports import metrics_window
from mtssl_tf.tasks import base
from mtssl_tf.training import compiled
from mtssl_tf.training import proximal
from mtssl_tf.training import rmsprop
from mtssl_tf.training import task_model

GRADIENT_NORM = "gradient_norm"


@dataclasses.dataclass(frozen=True)
class TaskState:
    """What one task trains with.

    Attributes:
        task: the task.
        model: trunk, mix and head.
        optimizer: this task's own RMSProp, over trunk and head.
        variables: what it updates.
        weight_decay: of the kernels among them.
    """

    task: base.Task
    model: task_model.TaskModel
    optimizer: keras.optimizers.RMSprop
    variables: list[keras.Variable]
    weight_decay: float = 0.0


def predict(state: TaskState, views: tf.Tensor) -> tf.Tensor:
    """Returns the task's prediction for float32 [B, V, h, w, 3]."""
    return state.model.predict_in_training(_views_as_batch(views))


def predict_without_update(state: TaskState, views: tf.Tensor) -> tf.Tensor:
    """Predicts as in training, but leaves batch norm's statistics alone."""
    model = state.model.model
    prediction, _ = model.stateless_call(
        model.trainable_variables,
        model.non_trainable_variables,
        _views_as_batch(views),
        training=True,
    )
    return prediction


def compute_gradients(
    state: TaskState,
    batch: dict[str, tf.Tensor],
    global_batch_size: int,
    num_parts: int = 1,
    with_penalties: bool = True,
) -> tuple[dict[str, tf.Tensor], list[tf.Tensor]]:
    """Returns this replica's share of the losses and gradients.

    Gradients are divided by the global batch, so that their sum over replicas
    is that of the mean loss.

    Args:
        state: the task's state.
        batch: this replica's part of a batch of `build_batches`.
        global_batch_size: examples over all replicas and parts.
        num_parts: in which the replica's part is computed, one after another:
            this is one of them.
        with_penalties: of mix and kernels, which no example has a say in.

    Returns:
        `loss` and the task's metrics, each float32 [2]: the sum over the
        examples that have a say, and how many those are (`means` divides);
        and the gradients in the order of `state.variables`.
    """
    inputs = state.task.color(batch)
    return compute_bare_gradients(
        state, inputs, global_batch_size, num_parts, with_penalties
    )


def compute_bare_gradients(
    state: TaskState,
    inputs: dict[str, tf.Tensor],
    global_batch_size: int,
    num_parts: int = 1,
    with_penalties: bool = True,
) -> tuple[dict[str, tf.Tensor], list[tf.Tensor]]:
    """Returns what `compute_gradients` does, of what `Task.color` has made."""
    with tf.GradientTape() as tape:
        prediction, target, own = _compared(
            state.task, predict(state, inputs["views"]), inputs["target"]
        )
        per_example = own(state.task.loss(prediction, target))
        objective = tf.reduce_sum(per_example) / global_batch_size
        if with_penalties:
            objective += _share_of_penalties(state) / num_parts
    gradients = tape.gradient(
        objective, [variable.value for variable in state.variables]
    )
    # Of the loss NaN is kept: it stops the run.
    count = tf.cast(tf.size(per_example), tf.float32)
    values = {"loss": tf.stack([tf.reduce_sum(per_example), count])}
    for name, metric in state.task.metrics(prediction, target).items():
        values[name] = metrics_window.sum_and_count(own(metric))
    return values, gradients


def part_of(
    batch: dict[str, tf.Tensor], part: int | tf.Tensor, num_parts: int
) -> dict[str, tf.Tensor]:
    """Returns one of the equal parts that a batch is cut into.

    Args:
        batch: of `build_batches`.
        part: which, from 0.
        num_parts: into how many.
    """
    return {
        name: tf.reshape(value, [num_parts, -1, *value.shape[1:]])[part]
        for name, value in batch.items()
    }


def means(values: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """Divides the sums of `compute_gradients` by their numbers of examples.

    Sums over replicas and parts are divided once they are added up: a replica
    whose examples have no say has none in the mean either.

    Args:
        values: by name, float32 [2].

    Returns:
        By name, float32 []; NaN where no example had a say.
    """
    return {name: each[0] / each[1] for name, each in values.items()}


def _compared(
    task: base.Task, prediction: tf.Tensor, target: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
    """Returns what a loss compares examples with, and who has which.

    A task that compares examples with one another gets those of all replicas,
    with gradient, so that N replicas equal one.

    Args:
        task: the task.
        prediction: of this replica's B examples.
        target: of these.

    Returns:
        Prediction and target of all examples that count, and a function that
        takes this replica's part, float32 [B], out of theirs.
    """
    replica = tf.distribute.get_replica_context()
    count = replica.num_replicas_in_sync
    if count == 1 or not task.compares_examples:
        return prediction, target, lambda values: values

    def take_own(values: tf.Tensor) -> tf.Tensor:
        parts = tf.reshape(values, [count, -1])
        return tf.gather(parts, replica.replica_id_in_sync_group)

    # One by one: whole numbers lie on the host, predictions on the device.
    # And as they are, arguments of a function are not gathered.
    whole, targets = (
        replica.all_gather(tf.identity(each), axis=0)
        for each in (prediction, target)
    )
    return whole, targets, take_own


def sum_over_replicas(
    tensors: list[tf.Tensor | None],
) -> list[tf.Tensor | None]:
    """Returns the sums of what all replicas have, the same on each."""
    replica = tf.distribute.get_replica_context()
    if replica.num_replicas_in_sync == 1:
        return tensors
    # As they are, arguments of a function are not summed.
    sums = iter(
        replica.all_reduce(
            tf.distribute.ReduceOp.SUM,
            [tf.identity(each) for each in tensors if each is not None],
        )
    )
    return [None if each is None else next(sums) for each in tensors]


def apply_gradients(
    state: TaskState,
    gradients: list[tf.Tensor],
    is_finite: tf.Tensor | None = None,
) -> None:
    """Steps the task's optimizer, then the mix's proximal step.

    Args:
        state: the task's state.
        gradients: of `state.variables`, summed over replicas.
        is_finite: bool [], of `are_finite`: whether to step. None is yes.
    """
    rmsprop.take_step(state.optimizer, state.variables, gradients, is_finite)
    share = 1.0 if is_finite is None else tf.cast(is_finite, tf.float32)
    proximal.take_proximal_step(state.model.mix, state.optimizer, share)


def num_trunk_variables(state: TaskState) -> int:
    """Returns how many of the state's variables, the first, are the trunk's.

    None are where it is frozen.
    """
    return len(state.variables) - len(state.model.head.trainable_variables)


def are_finite(
    values: dict[str, tf.Tensor], gradients: list[tf.Tensor]
) -> tf.Tensor:
    """Returns bool []: neither the loss nor any gradient overflowed.

    Args:
        values: of `compute_gradients`, or their sums.
        gradients: those, or norms of them.
    """
    loss, _ = tf.unstack(values["loss"])
    return tf.math.is_finite(loss + tf.linalg.global_norm(gradients))


def _share_of_penalties(state: TaskState) -> tf.Tensor:
    """Returns penalties of mix and kernels, divided over the replicas."""
    penalties = [tf.zeros([]), *state.model.model.losses]
    if state.weight_decay:
        kernels = (v for v in state.variables if v.name == "kernel")
        squares = tf.add_n([tf.nn.l2_loss(kernel.value) for kernel in kernels])
        penalties.append(state.weight_decay * squares)
    num_replicas = tf.distribute.get_strategy().num_replicas_in_sync
    return tf.add_n(penalties) / num_replicas


def _views_as_batch(views: tf.Tensor) -> tf.Tensor:
    """[B, V, h, w, 3] to [B * V, h, w, 3]: all pass the trunk at once."""
    return tf.reshape(views, [-1, *views.shape[2:]])


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a step gave, still on the device it was taken on.

    Attributes:
        numbers: float32 [N]: what `StepFunction.names` names.
        is_finite: bool []; where it is not, no weight was stepped.
        gradients: of the trunk, as they were applied; none where it is frozen.
    """

    numbers: tf.Tensor
    is_finite: tf.Tensor
    gradients: list[tf.Tensor]


class StepFunction:
    """A whole step as one compiled function, over all replicas.

    The host learns nothing of it before it asks, so that a GPU can be given
    the next step while it is busy with this one. What is not finite is kept
    from the weights on the device.
    """

    def __init__(
        self,
        strategy: tf.distribute.Strategy,
        state: TaskState,
        with_xla: bool = False,
    ) -> None:
        """Compiles nothing yet.

        Args:
            strategy: over devices.
            state: of the task.
            with_xla: whether XLA compiles the step, where it can.
        """
        self._strategy = strategy
        self._state = state
        self._num_trunk = num_trunk_variables(state)
        self._names: list[str] = []
        self._take = compiled.compile_own(self._take_on_replicas, with_xla)

    @property
    def names(self) -> list[str]:
        """Loss, metrics and `GRADIENT_NORM`, once a step was taken.

        That is the norm of the trunk's gradient; of the head's where the
        trunk is frozen.
        """
        return [*self._names, GRADIENT_NORM]

    def take(self, batch: Any) -> Outcome:
        """Takes a step on a batch of `build_batches`."""
        return Outcome(*self._take(batch))

    def _take_on_replicas(self, batch: Any) -> tuple:
        return self._on_first(
            self._strategy.run(self._take_on_replica, (batch,))
        )

    def _on_first(self, results: Any) -> Any:
        """Returns the first replica's part of what is the same on all."""
        return tf.nest.map_structure(
            lambda each: self._strategy.experimental_local_results(each)[0],
            results,
        )

    def _take_on_replica(self, part: dict[str, tf.Tensor]) -> tuple:
        state = self._state
        values, gradients = compute_gradients(
            state, part, state.task.config.batch_size
        )
        self._names = list(values)
        return self._apply(tf.stack(list(values.values())), gradients)

    def _apply(self, numbers: tf.Tensor, gradients: list[tf.Tensor]) -> tuple:
        """Steps on a replica's part; returns an `Outcome`.

        Args:
            numbers: float32 [N, 2], what `compute_gradients` has of each name.
            gradients: of all variables.
        """
        state = self._state
        numbers, *gradients = sum_over_replicas([numbers, *gradients])
        values = dict(zip(self._names, tf.unstack(numbers)))
        num_watched = self._num_trunk or len(gradients)
        norm = tf.linalg.global_norm(gradients[:num_watched])
        # Each gradient is read once: a norm is as finite as what it is of.
        is_finite = are_finite(values, [norm, *gradients[num_watched:]])
        apply_gradients(state, gradients, is_finite)
        if self._strategy.num_replicas_in_sync > 1:
            self._average_statistics()
        return (
            tf.stack([*means(values).values(), norm]),
            is_finite,
            gradients[: self._num_trunk],
        )

    def _average_statistics(self) -> None:
        """Averages batch norm's moving statistics over the replicas.

        Keras leaves each replica its own, and a checkpoint holds the first
        one's only.
        """
        statistics = self._state.model.moving_statistics()
        replica = tf.distribute.get_replica_context()
        means = replica.all_reduce(
            tf.distribute.ReduceOp.MEAN,
            [tf.identity(variable) for variable in statistics],
        )
        for variable, mean in zip(statistics, means):
            variable.assign(mean)
