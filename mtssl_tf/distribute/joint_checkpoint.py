"""The whole run in one process, as one machine has it, to save and restore.

The command builds it. Trunk and slots come from all shards, heads and
statistics from the groups' deposits, and what is written is an ordinary
checkpoint: any number of machines goes on from it, one included. Its trunk has
the mean of the groups' moving statistics; each group's own lie beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import pathlib

import numpy as np
import tensorflow as tf

from mtssl_tf.distribute import flat_variables
from mtssl_tf.distribute import shard as shard_lib
from mtssl_tf.training import checkpoint
from mtssl_tf.training import run as run_lib


class JointCheckpoint:
    """Keras's variables of trunk, heads and optimizers.

    Attributes:
        weighing: the run's dynamic weights, as restored or saved last.
    """

    def __init__(
        self,
        run: run_lib.Run,
        workdir: pathlib.Path,
        num_shards: int,
        has_heads: bool,
    ) -> None:
        """Takes a run as built.

        Args:
            run: all tasks, on this process's CPU.
            workdir: the run directory.
            num_shards: of the store.
            has_heads: whether the store keeps heads as well as the trunk.
        """
        self._run = run
        self._workdir = workdir
        self._num_shards = num_shards
        self.weighing = run_lib.build_weighing(run)
        self._statistics = {
            name: [
                tf.Variable(each.value, trainable=False)
                for each in flat_variables.trunk_statistics(run.trunk)
            ]
            for name in run.states
        }
        self._checkpoints = self._in_folder(workdir)
        self._num_trunk = len(run.trunk.trainable_variables)
        self._has_heads = has_heads

    def restore(self) -> dict[str, int]:
        """Goes to the last checkpoint, or stays at the start.

        Returns:
            The steps that each task has done.
        """
        return self._checkpoints.restore() or {
            name: 0 for name in self._run.states
        }

    def deposits(self) -> dict[str, np.ndarray]:
        """Returns what each task's group owns, float32 [n]."""
        return {name: self._own(name).read() for name in self._run.states}

    def shard_arrays(self, index: int) -> dict[tuple[str, str], np.ndarray]:
        """Returns what `Shard.load` takes."""
        arrays = {}
        for key, flat in self._stored().items():
            edges = shard_lib.bounds(flat.size, self._num_shards)[index]
            arrays[key] = flat.read()[slice(*edges)]
        return arrays

    def save(
        self,
        steps: Mapping[str, int],
        deposits: Mapping[str, np.ndarray],
        shards: Sequence[Mapping[tuple[str, str], np.ndarray]],
        weighing: str = "",
        folder: pathlib.Path | None = None,
    ) -> str:
        """Writes a checkpoint.

        Args:
            steps: task -> its steps.
            deposits: what each task's group owns.
            shards: what each shard's `dump` gave.
            weighing: what `Weighing.dump` gave then; '' without any.
            folder: another run directory than this run's, for a snapshot.

        Raises:
            OSError: it cannot be written.
        """
        # Deposits first: of heads in the store they have an old copy.
        for name, vector in deposits.items():
            self._own(name).write(vector)
        self._average_statistics()
        for key, variables in self._stored().items():
            variables.write(np.concatenate([part[key] for part in shards]))
        for name, state in self._run.states.items():
            state.optimizer.iterations.assign(steps[name])
        if self.weighing is not None:
            self.weighing.load(weighing)
        checkpoints = self._in_folder(folder) if folder else self._checkpoints
        return checkpoints.save(steps)

    def _in_folder(self, workdir: pathlib.Path) -> checkpoint.Checkpoints:
        return checkpoint.Checkpoints(
            workdir,
            self._run.trunk,
            self._run.states,
            self.weighing,
            self._statistics,
        )

    def _own(self, task: str) -> flat_variables.FlatVariables:
        state = self._run.states[task]
        return flat_variables.own_variables(
            self._statistics[task],
            state.model.head,
            state.optimizer._velocities[self._num_trunk :],
            state.optimizer._momentums[self._num_trunk :],
        )

    def _stored(self) -> dict[tuple[str, str], flat_variables.FlatVariables]:
        """Returns what the store keeps, by segment and name."""
        trunk, num_trunk = shard_lib.TRUNK, self._num_trunk
        stored = {
            (trunk, shard_lib.VALUES): self._run.trunk.trainable_variables
        }
        for task, state in self._run.states.items():
            rmsprop = state.optimizer  # Keras has no public names of slots.
            of_both = (rmsprop._velocities, rmsprop._momentums)
            for name, slots in zip(shard_lib.SLOTS, of_both):
                # The trunk has slots of every task, a head those of its own.
                stored[trunk, f"{task}/{name}"] = slots[:num_trunk]
                if self._has_heads:
                    stored[task, f"{task}/{name}"] = slots[num_trunk:]
            if self._has_heads:
                head = state.model.head
                stored[task, shard_lib.VALUES] = head.trainable_variables
        return {
            key: flat_variables.FlatVariables(variables)
            for key, variables in stored.items()
        }

    def _average_statistics(self) -> None:
        """Gives the trunk the mean of all groups' moving statistics."""
        for of_trunk, of_groups in zip(
            flat_variables.trunk_statistics(self._run.trunk),
            zip(*self._statistics.values()),
        ):
            of_trunk.assign(np.mean([own.numpy() for own in of_groups], axis=0))
