"""What a group owns beside the trunk: head, its RMSProp slots, statistics.

They travel and rest as one flat vector, in the same order in a group and in
the store: head, head's statistics, slots, and last the trunk's moving
statistics, of which each group has its own.
"""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf


class FlatVariables:
    """A list of float variables, read and written as one vector."""

    def __init__(
        self, variables: Sequence[keras.Variable | tf.Variable]
    ) -> None:
        self.variables = list(variables)
        self._sizes = [
            int(np.prod(variable.shape, dtype=np.int64))
            for variable in self.variables
        ]

    @property
    def size(self) -> int:
        """Number of floats."""
        return sum(self._sizes)

    def read(self) -> np.ndarray:
        """Returns float32 [size]."""
        return np.concatenate(
            [np.zeros(0, np.float32)]
            + [
                keras.ops.convert_to_numpy(each).ravel()
                for each in self.variables
            ]
        )

    def write(self, vector: np.ndarray) -> None:
        """Assigns float32 [size]."""
        start = 0
        for variable, size in zip(self.variables, self._sizes):
            part = vector[start : start + size]
            variable.assign(np.reshape(part, variable.shape))
            start += size

    def read_in_graph(self) -> tf.Tensor:
        """Returns float32 [size]; graph code."""
        return flatten([each.value for each in self.variables])

    def write_in_graph(self, vector: tf.Tensor) -> None:
        """Assigns float32 [size]; graph code."""
        parts = tf.split(vector, self._sizes)
        for variable, part in zip(self.variables, parts):
            variable.assign(tf.reshape(part, variable.shape))


def flatten(tensors: Sequence[tf.Tensor]) -> tf.Tensor:
    """Returns all values of some tensors, float32 [n]; graph code."""
    flat = [tf.reshape(tf.cast(each, tf.float32), [-1]) for each in tensors]
    return tf.concat([tf.zeros([0]), *flat], 0)


def trunk_statistics(trunk: keras.Model) -> list[keras.Variable]:
    """Returns the moving statistics of the trunk's batch norms."""
    return list(trunk.non_trainable_weights)


def own_variables(
    statistics: Sequence[keras.Variable | tf.Variable],
    head: keras.Model,
    mean_squares: Sequence[keras.Variable],
    momentums: Sequence[keras.Variable],
) -> FlatVariables:
    """Returns what a group owns.

    Args:
        statistics: `trunk_statistics`, the group's own.
        head: of its task.
        mean_squares: slots of the head.
        momentums: slots of the head.
    """
    return FlatVariables(
        [
            *head.trainable_weights,
            *head.non_trainable_weights,
            *mean_squares,
            *momentums,
            *statistics,
        ]
    )
