"""One task's step, compiled, on all devices of a strategy."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from mtssl_tf import train_step


class StepFunction:
    """Computes gradients, then applies them.

    In two parts, so that a loss that is no number is seen before it can
    reach a weight.
    """

    def __init__(
        self, strategy: tf.distribute.Strategy, state: train_step.TaskState
    ) -> None:
        self._strategy = strategy
        self._state = state
        self._compute = tf.function(self._compute_on_replicas)
        self._apply = tf.function(self._apply_on_replicas)

    def compute(self, batch: Any) -> tuple[dict[str, tf.Tensor], Any, bool]:
        """Returns loss and metrics, gradients, and whether all is finite."""
        values, gradients, is_finite = self._compute(batch)
        return values, gradients, bool(is_finite)

    def apply(self, gradients: Any) -> None:
        """Applies the gradients that `compute` returned."""
        self._apply(gradients)

    def _compute_on_replicas(self, batch: Any) -> tuple:
        def compute(part):
            values, gradients = train_step.compute_gradients(
                self._state, part, self._state.task.config.batch_size
            )
            return values, gradients, train_step.are_finite(values, gradients)

        values, gradients, is_finite = self._strategy.run(compute, (batch,))
        summed = {
            name: self._strategy.reduce("SUM", value, axis=None)
            for name, value in values.items()
        }
        all_finite = [
            tf.reduce_all(part)
            for part in self._strategy.experimental_local_results(is_finite)
        ]
        return summed, gradients, tf.reduce_all(all_finite)

    def _apply_on_replicas(self, gradients: Any) -> None:
        def apply(part):
            train_step.apply_gradients(self._state, part)
            if self._strategy.num_replicas_in_sync > 1:
                self._average_statistics()

        self._strategy.run(apply, (gradients,))

    def _average_statistics(self) -> None:
        """Averages batch norm's moving statistics over the replicas.

        Keras leaves each replica its own, and a checkpoint holds the first
        one's only.
        """
        statistics = [
            variable.value
            for variable in self._state.model.model.non_trainable_variables
            if variable.dtype == "float32"
        ]
        replica = tf.distribute.get_replica_context()
        means = replica.all_reduce(
            tf.distribute.ReduceOp.MEAN,
            [tf.identity(variable) for variable in statistics],
        )
        for variable, mean in zip(statistics, means):
            variable.assign(mean)
