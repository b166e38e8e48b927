"""How far two halves of a batch agree on where the trunk should go.

The cosine is taken of each of the trunk's variables by itself, and their mean
by the number of weights: RMSProp steps by gradients that it brings to one
length, and taken as one vector a few large ones decide all. (Seen at the tiny
preset, single batches of 32: a standard deviation of 0.06 to 0.12, where it is
0.32 to 0.38 of all as one vector.)

Where a batch is computed in more parts (`train.accumulate`) two of those are
compared, which take no more memory than the step does. A half has its own
batch statistics, and a task that compares examples compares those of a half.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from mtssl_tf.training import compiled
from mtssl_tf.training import step


class HalfBatches:
    """Measures a task's batches; it changes nothing, and costs about a step."""

    def __init__(
        self,
        strategy: tf.distribute.Strategy,
        state: step.TaskState,
        batch_size: int,
        num_parts: int = 1,
    ) -> None:
        """Prepares a task.

        Args:
            strategy: over devices.
            state: of the task.
            batch_size: examples over all replicas.
            num_parts: in which a step computes a batch.

        Raises:
            ValueError: a device's part of a batch cannot be halved.
        """
        self._strategy = strategy
        self._state = state
        self._batch_size = batch_size
        self._num_parts = max(2, num_parts)
        num_replicas = strategy.num_replicas_in_sync
        if batch_size % (num_replicas * self._num_parts):
            raise ValueError(
                f"To compare halves of a batch on {num_replicas} devices "
                f"{state.task.name}.batch_size must be a multiple of "
                f"{num_replicas * self._num_parts}, got {batch_size}."
            )
        self._num_trunk = step.num_trunk_variables(state)
        self._measure = compiled.compile_own(self._on_replicas)

    def measure(self, batch: Any) -> float:
        """Returns the cosine of two half batches' gradients of the trunk.

        Args:
            batch: of `build_batches`; a step may be taken on it as well.

        Returns:
            In [-1, 1]. Of two of more than two parts it is what halves would
            have, by Spearman and Brown's formula. 0 where there is no
            gradient.
        """
        cosine = float(self._measure(batch))
        length = self._num_parts / 2
        if cosine <= 0 or length == 1:
            return cosine
        return length * cosine / (1 + (length - 1) * cosine)

    def _on_replicas(self, batch: Any) -> tf.Tensor:
        cosine = self._strategy.run(self._on_replica, (batch,))
        return self._strategy.experimental_local_results(cosine)[0]

    def _on_replica(self, batch: dict[str, tf.Tensor]) -> tf.Tensor:
        statistics = self._state.model.moving_statistics()
        before = [tf.identity(variable) for variable in statistics]
        first, second = (
            step.sum_over_replicas(self._gradients(batch, part))
            for part in range(2)
        )
        # Batch norm has moved its averages, and this is no step.
        for variable, value in zip(statistics, before):
            variable.assign(value)
        return _cosine(first, second)

    def _gradients(
        self, batch: dict[str, tf.Tensor], part: int
    ) -> list[tf.Tensor | None]:
        _, gradients = step.compute_gradients(
            self._state,
            step.part_of(batch, part, self._num_parts),
            self._batch_size,
            self._num_parts,
            # On what is the same for both they would agree.
            with_penalties=False,
        )
        return gradients[: self._num_trunk]


def _cosine(
    ones: list[tf.Tensor | None], others: list[tf.Tensor | None]
) -> tf.Tensor:
    """Returns the mean cosine of a weight's variable, float32 []."""
    total, size = tf.zeros([]), 0
    for one, other in zip(ones, others):
        if one is None or other is None:
            continue
        one, other = tf.reshape(one, [-1]), tf.reshape(other, [-1])
        cosine = tf.math.divide_no_nan(
            tf.tensordot(one, other, 1), tf.norm(one) * tf.norm(other)
        )
        total += one.shape[0] * cosine
        size += one.shape[0]
    return total / max(size, 1)
