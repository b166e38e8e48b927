"""One step of one task on all workers of its group, compiled."""

from __future__ import annotations

import dataclasses
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from mtssl_tf.distribute import flat_variables
from mtssl_tf.training import rmsprop as rmsprop_lib
from mtssl_tf.training import run as run_lib
from mtssl_tf.training import step as step_lib


class GroupStep:
    """Gradients and updates of one task, the same on every worker.

    Gradients for the store, statistics, losses and whether all is finite are
    summed in one all-reduce; the head's gradients when they are applied.
    """

    def __init__(
        self,
        run: run_lib.Run,
        task: str,
        batch_size: int,
        is_head_stored: bool,
        batch_norm: str,
        options: tf.distribute.experimental.CommunicationOptions,
    ) -> None:
        """Prepares a task of a run that was built on `run.strategy`.

        Args:
            run: of this task.
            task: its name.
            batch_size: of the group.
            is_head_stored: whether the store updates the head too.
            batch_norm: of `options.BATCH_NORMS`.
            options: of the all-reduce.
        """
        self._strategy = run.strategy
        self._batch_size = batch_size
        self._is_head_stored = is_head_stored
        self._options = options
        self._state = run.states[task]
        self._num_trunk = len(run.trunk.trainable_variables)
        head = self._state.model.head
        self._head_state = self._build_head_state(run.config.train)
        rmsprop = self._head_state.optimizer
        of_trunk = flat_variables.trunk_statistics(run.trunk)
        self.own_variables = flat_variables.own_variables(
            of_trunk, head, rmsprop._velocities, rmsprop._momentums
        )
        stored = self._state.variables[: self._num_stored]
        self._stored = flat_variables.FlatVariables(stored)
        self._statistics = flat_variables.FlatVariables(
            of_trunk + head.non_trainable_weights
        )
        for layer in self._state.model.model._flatten_layers():
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.synchronized = batch_norm == "synchronized"
                # A batch norm that is not trainable uses its statistics; its
                # scale and offset are in `variables` and train all the same.
                layer.trainable = batch_norm != "frozen"
        self._compute = tf.function(self._compute_on_replicas, autograph=False)
        self._apply = tf.function(self._apply_on_replicas, autograph=False)
        self._assign = tf.function(self._assign_on_replicas, autograph=False)

    @property
    def _num_stored(self) -> int:
        """How many of the state's variables the store updates."""
        if self._is_head_stored:
            return len(self._state.variables)
        return self._num_trunk

    def stored_sizes(self) -> list[int]:
        """Returns the floats of the trunk, and of the head where stored."""
        trunk = flat_variables.FlatVariables(
            self._state.variables[: self._num_trunk]
        ).size
        return [trunk] + [self._stored.size - trunk] * self._is_head_stored

    def compute(self, batch: Any, step: int) -> tuple:
        """Returns what a batch gives, summed over the group.

        Args:
            batch: this worker's part.
            step: of the task.

        Returns:
            Loss and metrics by name, whether all is finite, whether all
            workers are at the same step, the gradient for the store, float32
            [P], and this worker's share of the head's.
        """
        # Not a Python number: TensorFlow keeps a tensor of each for ever.
        return self._compute(batch, tf.constant(np.float32(step)))

    def apply(self, head_gradients: Any) -> None:
        """Steps the head, where the group owns it."""
        if not self._is_head_stored:
            self._apply(head_gradients)

    def assign(self, vector: tf.Tensor) -> None:
        """Takes over what the store has, float32 [P]."""
        self._assign(vector)

    def set_step(self, step: int) -> None:
        """Sets the head's optimizer to the task's step."""
        self._head_state.optimizer.iterations.assign(step)

    def _build_head_state(self, train: Any) -> step_lib.TaskState:
        """Returns the state with an optimizer for the head alone."""
        variables = self._state.variables[self._num_trunk :]
        with self._strategy.scope():
            rmsprop = rmsprop_lib.build_rmsprop(
                variables,
                self._state.task.learning_rate(),
                train.rms_decay,
                train.momentum,
                train.epsilon,
            )
        return dataclasses.replace(
            self._state, optimizer=rmsprop, variables=variables
        )

    def _compute_on_replicas(self, batch: Any, step: tf.Tensor) -> tuple:
        names: list[str] = []
        num_replicas = self._strategy.num_replicas_in_sync

        def compute(part, step):
            values, gradients = step_lib.compute_gradients(
                self._state, part, self._batch_size
            )
            is_finite = step_lib.are_finite(values, gradients)
            names[:] = list(values)
            parts = [
                flat_variables.flatten(gradients[: self._num_stored]),
                self._statistics.read_in_graph() / num_replicas,
                tf.reshape(tf.stack(list(values.values())), [-1]),
                tf.stack([tf.cast(is_finite, tf.float32), step]),
            ]
            total = tf.distribute.get_replica_context().all_reduce(
                tf.distribute.ReduceOp.SUM,
                tf.identity(tf.concat(parts, 0)),
                options=self._options,
            )
            gradient, statistics, sums, checks = tf.split(
                total, [tf.size(each) for each in parts]
            )
            self._statistics.write_in_graph(statistics)
            return gradient, sums, checks, gradients[self._num_stored :]

        gradient, sums, checks, head_gradients = self._strategy.run(
            compute, (batch, step)
        )
        first = self._strategy.experimental_local_results
        checks = first(checks)[0]
        sums = tf.reshape(first(sums)[0], [len(names), 2])
        return (
            step_lib.means(dict(zip(names, tf.unstack(sums)))),
            checks[0] > num_replicas - 0.5,
            tf.abs(checks[1] - step * num_replicas) < 0.5,
            first(gradient)[0],
            head_gradients,
        )

    def _apply_on_replicas(self, head_gradients: Any) -> None:
        def apply(gradients):
            step_lib.apply_gradients(
                self._head_state, step_lib.sum_over_replicas(gradients)
            )

        self._strategy.run(apply, (head_gradients,))

    def _assign_on_replicas(self, vector: tf.Tensor) -> None:
        self._strategy.run(self._stored.write_in_graph, (vector,))
