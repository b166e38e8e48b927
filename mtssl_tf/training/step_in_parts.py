"""A step whose batch is computed part by part: gradient accumulation.

Memory is that of a part, and the gradients are summed before one update. That
equals the whole batch but for what looks at several examples at a time: batch
norm normalises each part by its own statistics, and its moving averages move
once a part; a task that compares examples with one another (`Task.
compares_examples`) compares those of a part.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from mtssl_tf import train_settings
from mtssl_tf.training import compiled
from mtssl_tf.training import step


def build_step_function(
    strategy: tf.distribute.Strategy,
    state: step.TaskState,
    train: train_settings.TrainConfig,
) -> step.StepFunction:
    """Returns what takes a task's steps.

    Args:
        strategy: over devices.
        state: of the task.
        train: in how many parts a batch is computed, and by what compiled.

    Raises:
        ValueError: a device's part of a batch cannot be cut into so many.
    """
    with_xla = compiled.is_xla_wanted(train.xla, strategy)
    if train.accumulate == 1:
        return step.StepFunction(strategy, state, with_xla)
    return _StepInParts(strategy, state, train.accumulate, with_xla)


class _StepInParts(step.StepFunction):
    """Calls one compiled function a part, so that a part's memory is freed."""

    def __init__(
        self,
        strategy: tf.distribute.Strategy,
        state: step.TaskState,
        num_parts: int,
        with_xla: bool,
    ) -> None:
        super().__init__(strategy, state)
        _check_size(state, strategy.num_replicas_in_sync, num_parts)
        # Not Python numbers: a function is traced for each of those.
        self._parts = [tf.constant(part) for part in range(num_parts)]
        self._zeros = compiled.compile_own(self._zeros_on_replicas)
        self._add = compiled.compile_own(self._add_on_replicas, with_xla)
        self._end = compiled.compile_own(self._end_on_replicas)

    def take(self, batch: Any) -> step.Outcome:
        """Takes a step on a batch of `build_batches`."""
        numbers = []
        gradients = self._zeros()
        for part in self._parts:
            of_part, gradients = self._add(batch, part, gradients)
            numbers.append(of_part)
        return step.Outcome(*self._end(numbers, gradients))

    def _zeros_on_replicas(self) -> Any:
        return self._strategy.run(
            lambda: [
                tf.zeros(variable.shape) for variable in self._state.variables
            ]
        )

    def _add_on_replicas(self, batch: Any, part: Any, sums: Any) -> Any:
        return self._strategy.run(self._add_on_replica, (batch, part, sums))

    def _add_on_replica(
        self,
        batch: dict[str, tf.Tensor],
        part: tf.Tensor,
        sums: list[tf.Tensor],
    ) -> tuple[tf.Tensor, list[tf.Tensor]]:
        num_parts = len(self._parts)
        values, gradients = step.compute_gradients(
            self._state,
            step.part_of(batch, part, num_parts),
            self._state.task.config.batch_size,
            num_parts,
        )
        self._names = list(values)
        return tf.stack(list(values.values())), [
            total + gradient for total, gradient in zip(sums, gradients)
        ]

    def _end_on_replicas(self, numbers: Any, gradients: Any) -> Any:
        return self._on_first(
            self._strategy.run(self._end_on_replica, (numbers, gradients))
        )

    def _end_on_replica(
        self, numbers: list[tf.Tensor], gradients: list[tf.Tensor]
    ) -> tuple:
        return self._apply(tf.add_n(numbers), gradients)


def _check_size(state: step.TaskState, num_replicas: int, parts: int) -> None:
    size = state.task.config.batch_size
    if size % (num_replicas * parts):
        raise ValueError(
            f"train.accumulate={parts} on {num_replicas} devices needs "
            f"{state.task.name}.batch_size to be a multiple of "
            f"{num_replicas * parts}, got {size}."
        )
