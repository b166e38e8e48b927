"""The whole run in one process, as one machine has it, to save and restore.

The first shard of the store builds it. Trunk and slots come from all shards,
heads and statistics from the groups' deposits, and what is written is an
ordinary checkpoint: any number of machines goes on from it, one included.
"""

from __future__ import annotations

from collections.abc import Mapping
import pathlib

import numpy as np

from mtssl_tf.distribute import chunks
from mtssl_tf.distribute import group_variables
from mtssl_tf.training import checkpoint
from mtssl_tf.training import run as run_lib
from mtssl_tf.training import step


class JoinedState:
    """Keras's variables of trunk, heads and optimizers."""

    def __init__(
        self, run: run_lib.Run, workdir: pathlib.Path, has_heads: bool
    ) -> None:
        """Takes a run as built.

        Args:
            run: all tasks, on this process's CPU.
            workdir: the run directory.
            has_heads: whether the store keeps heads as well as the trunk.
        """
        self.run = run
        self._workdir = workdir
        self._checkpoints = checkpoint.Checkpoints(
            workdir, run.trunk, run.states
        )
        self._num_trunk = len(run.trunk.trainable_variables)
        self._num_statistics = group_variables.FlatVariables(
            group_variables.trunk_statistics(run.trunk)
        ).size
        self._has_heads = has_heads

    def segments(self) -> dict[str, int]:
        """Returns what the store keeps, and of how many floats."""
        trunk = {chunks.TRUNK: self._values(chunks.TRUNK).size}
        if not self._has_heads:
            return trunk
        return trunk | {
            name: self._values(name).size for name in self.run.states
        }

    def restore(self) -> dict[str, int]:
        """Goes to the last checkpoint, or stays at the start.

        Returns:
            The steps that each task has done.
        """
        return self._checkpoints.restore() or self.start_steps()

    def start_steps(self) -> dict[str, int]:
        """Returns no steps of each task."""
        return {name: 0 for name in self.run.states}

    def set_deposits(
        self, deposits: Mapping[str, np.ndarray], steps: Mapping[str, int]
    ) -> None:
        """Takes over what each task's group owns, after these steps."""
        for name, vector in deposits.items():
            self.own_variables(name).write(vector)
        self._average_statistics(deposits)
        for name, state in self.run.states.items():
            state.optimizer.iterations.assign(steps[name])

    def save(
        self, steps: Mapping[str, int], folder: pathlib.Path | None = None
    ) -> str:
        """Writes a checkpoint after these steps of each task.

        Args:
            steps: task -> its steps.
            folder: another run directory than this run's, for a snapshot.

        Raises:
            OSError: it cannot be written.
        """
        checkpoints = self._checkpoints
        if folder:
            checkpoints = checkpoint.Checkpoints(
                folder, self.run.trunk, self.run.states
            )
        return checkpoints.save(steps)

    def own_variables(self, task: str) -> group_variables.FlatVariables:
        """Returns what a task's group owns."""
        state = self.run.states[task]
        return group_variables.own_variables(
            self.run.trunk,
            state.model.head,
            state.optimizer._velocities[self._num_trunk :],
            state.optimizer._momentums[self._num_trunk :],
        )

    def stored(self, name: str, segment: str) -> np.ndarray:
        """Returns `values` or `TASK/SLOT` of a segment, float32 [n]."""
        return self._stored(name, segment).read()

    def set_stored(self, name: str, segment: str, vector: np.ndarray) -> None:
        """Assigns what `stored` returns."""
        self._stored(name, segment).write(vector)

    def _stored(self, name: str, segment: str) -> group_variables.FlatVariables:
        if name == chunks.VALUES:
            return self._values(segment)
        task, slot = name.split("/")
        slots = _slots(self.run.states[task], slot)
        if segment == chunks.TRUNK:
            return group_variables.FlatVariables(slots[: self._num_trunk])
        return group_variables.FlatVariables(slots[self._num_trunk :])

    def _values(self, segment: str) -> group_variables.FlatVariables:
        model = (
            self.run.trunk
            if segment == chunks.TRUNK
            else self.run.states[segment].model.head
        )
        return group_variables.FlatVariables(model.trainable_variables)

    def _average_statistics(self, deposits: Mapping[str, np.ndarray]) -> None:
        """Gives the trunk the mean of all groups' moving statistics."""
        if deposits and self._num_statistics:
            tails = [v[-self._num_statistics :] for v in deposits.values()]
            group_variables.FlatVariables(
                group_variables.trunk_statistics(self.run.trunk)
            ).write(np.mean(tails, axis=0))


def _slots(state: step.TaskState, slot: str) -> list:
    by_name = dict(
        zip(
            chunks.SLOTS,
            (state.optimizer._velocities, state.optimizer._momentums),
        )
    )
    return by_name[slot]
