"""Where tasks want the trunk to go: the cosines of their gradients.

Tasks take turns, so each one's gradient is from a step of its own; over one
round of turns the weights hardly move. Gradients are kept as they come from
the step, without a copy, until the round is over.
"""

from __future__ import annotations

from collections.abc import Sequence
import itertools

import numpy as np
import tensorflow as tf

# ours: steps for each task, after which a round ends without those that had
# no turn: what it holds is as large as the trunk for each task.
_TURNS_WAITED = 4


class TrunkGradients:
    """Compares the gradients of one round of turns, now and then."""

    def __init__(self, num_tasks: int, every: int) -> None:
        """Begins a round after every so many steps.

        A checkpoint at such a step lies between two rounds: who goes on from
        it compares the same.
        """
        self._num_tasks = num_tasks
        self._every = every
        self._held: dict[str, list[tf.Tensor]] = {}

    def add(
        self, step: int, task: str, gradients: Sequence[tf.Tensor]
    ) -> dict[tuple[str, str], float]:
        """Takes a step's gradients of the trunk.

        Args:
            step: of all tasks, from 1.
            task: whose step it was.
            gradients: float32 tensors, of the same shapes for all.

        Returns:
            Two tasks' names -> cosine, where this step ends a round;
            otherwise nothing. A gradient of zeros has none.
        """
        in_round = (step - 1) % self._every
        is_first = in_round == 0 and step > self._every
        is_waiting = bool(self._held) or is_first
        if not is_waiting or self._num_tasks < 2:
            return {}
        self._held.setdefault(task, list(gradients))
        is_over = len(self._held) == self._num_tasks
        if not is_over and in_round < _TURNS_WAITED * self._num_tasks:
            return {}
        held, self._held = self._held, {}
        return cosines(held)


def cosines(
    gradients: dict[str, list[tf.Tensor]],
) -> dict[tuple[str, str], float]:
    """Returns the cosine of each two tasks' gradients, all variables as one.

    Args:
        gradients: task -> float32 tensors, of the same shapes for all.
    """
    names = sorted(gradients)  # a pair has one name, whoever came first
    products = (
        _products([gradients[name] for name in names])
        .numpy()
        .astype(np.float64)
    )
    norms = np.sqrt(np.diag(products))
    found = {}
    for (i, first), (j, second) in itertools.combinations(enumerate(names), 2):
        if norms[i] > 0 and norms[j] > 0:
            cosine = products[i, j] / (norms[i] * norms[j])
            found[(first, second)] = float(cosine)
    return found


@tf.function(autograph=False, reduce_retracing=True)
def _products(gradients: list[list[tf.Tensor]]) -> tf.Tensor:
    """Returns scalar products of all with all, float32 [T, T]."""
    total = tf.zeros([len(gradients)] * 2)
    for of_variable in zip(*gradients):
        rows = tf.stack([tf.reshape(each, [-1]) for each in of_variable])
        total += tf.matmul(rows, rows, transpose_b=True)
    return total
