"""Saves a run's state and brings it back to the bit.

A checkpoint holds the trunk, every task's head and RMSProp slots, and how many
steps each task has done; with `--weighting` by a rule, the shares and what
they come from; of a cluster, the trunk's moving statistics as each group has
them. The position in the data is the number of steps times
the batch size, and all randomness derives from it (`data/order.py`), so there
is nothing else to hold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import pathlib

import keras
import tensorflow as tf

from mtssl_tf.training import checkpoint_folder
from mtssl_tf.training import run_directory
from mtssl_tf.training import step
from mtssl_tf.weighting import weighing as weighing_lib

FOLDER = run_directory.CHECKPOINTS_FOLDER
BLOCK4 = "block4"  # also the name of the model that `build_block4` makes
_STATISTICS = "group_statistics"
_KEEP = 3  # ours


class Checkpoints:
    """The checkpoints of a run directory."""

    def __init__(
        self,
        workdir: pathlib.Path,
        trunk: keras.Model,
        states: Mapping[str, step.TaskState],
        weighing: weighing_lib.Weighing | None = None,
        group_statistics: Mapping[str, Sequence[tf.Variable]] | None = None,
    ) -> None:
        """Takes what a run consists of.

        Args:
            workdir: the run directory.
            trunk: of all tasks.
            states: of each task.
            weighing: the run's dynamic weights.
            group_statistics: task -> its own of each variable of
                `trunk.non_trainable_weights`, on a cluster. One machine goes on
                without them.
        """
        self._steps = {
            name: tf.Variable(0, dtype=tf.int64, trainable=False)
            for name in states
        }
        parts = {
            "trunk": trunk,
            "heads": {name: s.model.head for name, s in states.items()},
            "optimizers": {name: s.optimizer for name, s in states.items()},
            "steps": self._steps,
        }
        if weighing is not None:
            parts["weighting"] = _Kept(weighing)
        for state in states.values():
            # Part of a head, saved under a name of its own as well, so that
            # it can be found by those who know nothing of tasks.
            for layer in state.model.head.layers:
                if layer.name == BLOCK4:
                    parts[BLOCK4] = layer
        self._trunk = trunk
        # Rates are settings: a resumed run may have others.
        self._rates = [
            (rate, float(rate))
            for rate in (s.optimizer._learning_rate for s in states.values())
            if isinstance(rate, keras.Variable)
        ]
        self._group_statistics = group_statistics
        self._checkpoint = tf.train.Checkpoint(**parts)
        self._folder = checkpoint_folder.CheckpointFolder(
            workdir / FOLDER, self._checkpoint, _KEEP
        )

    def save(self, steps: Mapping[str, int]) -> str:
        """Saves the state after these steps of each task, atomically.

        Returns:
            The checkpoint's path.

        Raises:
            OSError: it cannot be written, as on a full disk.
        """
        for name, count in steps.items():
            self._steps[name].assign(count)
        self._take_group_statistics_in()
        return self._folder.save(sum(steps.values()))

    def restore(self) -> dict[str, int] | None:
        """Restores the newest checkpoint that is whole.

        Returns:
            The steps that each task had done; None where there is no
            checkpoint, or one of imported weights alone.

        Raises:
            ValueError: none is whole, or it is of another model.
        """
        path = self._folder.find()
        if path is None:
            return None
        if not _has_part(path, "steps"):
            _restore_part(path, "trunk", self._trunk)
            return None
        has_group_statistics = _has_part(path, _STATISTICS)
        if has_group_statistics:
            self._take_group_statistics_in()
        self._folder.restore_from(
            path,
            is_partial=has_group_statistics and self._group_statistics is None,
        )
        if not has_group_statistics:
            self._begin_group_statistics()
        for variable, rate in self._rates:
            variable.assign(rate)
        return {name: int(count) for name, count in self._steps.items()}

    def _take_group_statistics_in(self) -> None:
        """Makes them a part; one machine's checkpoint, to read, has none."""
        if self._group_statistics is not None:
            setattr(self._checkpoint, _STATISTICS, self._group_statistics)

    def _begin_group_statistics(self) -> None:
        """Gives every group the trunk's, as one machine has left them."""
        for own in (self._group_statistics or {}).values():
            for variable, shared in zip(own, self._trunk.non_trainable_weights):
                variable.assign(shared.value)


class _Kept(tf.train.experimental.PythonState):
    """A run's dynamic weights, as TensorFlow's checkpoints take them."""

    def __init__(self, weighing: weighing_lib.Weighing) -> None:
        super().__init__()
        self._weighing = weighing

    def serialize(self) -> str:
        return self._weighing.dump()

    def deserialize(self, string_value: str) -> None:
        self._weighing.load(string_value)


def save_imported(
    workdir: pathlib.Path, trunk: keras.Model, block4: keras.Model | None
) -> str:
    """Saves weights that were not trained here as a run's checkpoint."""
    parts = {"trunk": trunk} | ({BLOCK4: block4} if block4 else {})
    folder = checkpoint_folder.CheckpointFolder(
        workdir / FOLDER, tf.train.Checkpoint(**parts), keep=1
    )
    return folder.save(0)


def latest(workdir: pathlib.Path) -> str:
    """Returns the path of a run's newest checkpoint that is whole.

    Raises:
        FileNotFoundError: there is none yet.
        ValueError: none is whole.
    """
    path = checkpoint_folder.newest(workdir / FOLDER)
    if path is None:
        raise FileNotFoundError(
            f"{workdir} holds no checkpoint. Train until the first one is "
            "saved, or name another run directory."
        )
    return path


def path_of(workdir: pathlib.Path, step: int) -> str:
    """Returns the path of the checkpoint after so many steps."""
    return str(checkpoint_folder.path_of(workdir / FOLDER, step))


def step_of(path: str) -> int:
    """Returns after how many steps the checkpoint at `path` was saved."""
    return checkpoint_folder.number_of(path)


def restore_trunk(path: str, trunk: keras.Model) -> None:
    """Restores only the trunk from the checkpoint at `path`."""
    _restore_part(path, "trunk", trunk)


def has_block4(path: str) -> bool:
    """Returns whether the checkpoint at `path` holds a block 4."""
    return _has_part(path, BLOCK4)


def restore_block4(path: str, block4: keras.Model) -> None:
    """Restores only block 4 from the checkpoint at `path`."""
    _restore_part(path, BLOCK4, block4)


def _has_part(path: str, name: str) -> bool:
    return any(
        key.startswith(f"{name}/")
        for key in checkpoint_folder.variable_names(path)
    )


def _restore_part(path: str, name: str, model: keras.Model) -> None:
    checkpoint_folder.restore(
        tf.train.Checkpoint(**{name: model}), path, is_partial=True
    )
