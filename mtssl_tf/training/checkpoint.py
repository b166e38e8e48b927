"""Saves a run's state and brings it back to the bit.

A checkpoint holds the trunk, every task's head and RMSProp slots, and how many
steps each task has done. The position in the data is the number of steps times
the batch size, and all randomness derives from it (`data/order.py`), so there
is nothing else to hold.
"""

from __future__ import annotations

from collections.abc import Mapping
import pathlib

import keras
import tensorflow as tf

from mtssl_tf.training import step

FOLDER = "checkpoints"
BLOCK4 = "block4"  # also the name of the model that `build_block4` makes
_KEEP = 3


class Checkpoints:
    """The checkpoints of a run directory."""

    def __init__(
        self,
        workdir: pathlib.Path,
        trunk: keras.Model,
        states: Mapping[str, step.TaskState],
    ) -> None:
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
        for state in states.values():
            # Part of a head, saved under a name of its own as well, so that
            # it can be found by those who know nothing of tasks.
            for layer in state.model.head.layers:
                if layer.name == BLOCK4:
                    parts[BLOCK4] = layer
        self._trunk = trunk
        self._checkpoint = checkpoint = tf.train.Checkpoint(**parts)
        self._manager = tf.train.CheckpointManager(
            checkpoint, str(workdir / FOLDER), max_to_keep=_KEEP
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
        try:
            path = self._manager.save(checkpoint_number=sum(steps.values()))
        except tf.errors.OpError as error:
            raise OSError(
                f"The checkpoint in {self._manager.directory} could not be "
                f"written: {error.message}. Free some space and run the same "
                "command again; it goes on from the last checkpoint."
            ) from error
        return path

    def restore(self) -> dict[str, int] | None:
        """Restores the latest checkpoint.

        Returns:
            The steps that each task had done; None where there is no
            checkpoint, or one of imported weights alone.
        """
        path = self._manager.latest_checkpoint
        if path is None:
            return None
        if not _has_part(path, "steps"):
            _restore_part(path, "trunk", self._trunk)
            return None
        self._checkpoint.restore(path).assert_consumed()
        return {name: int(count) for name, count in self._steps.items()}


def save_imported(
    workdir: pathlib.Path, trunk: keras.Model, block4: keras.Model | None
) -> str:
    """Saves weights that were not trained here as a run's checkpoint."""
    parts = {"trunk": trunk} | ({BLOCK4: block4} if block4 else {})
    manager = tf.train.CheckpointManager(
        tf.train.Checkpoint(**parts), str(workdir / FOLDER), max_to_keep=1
    )
    return manager.save(checkpoint_number=0)


def latest(workdir: pathlib.Path) -> str:
    """Returns the path of a run's latest checkpoint.

    Raises:
        FileNotFoundError: there is none yet.
    """
    path = tf.train.latest_checkpoint(str(workdir / FOLDER))
    if path is None:
        raise FileNotFoundError(
            f"{workdir} holds no checkpoint. Train until the first one is "
            "saved, or name another run directory."
        )
    return path


def path_of(workdir: pathlib.Path, step: int) -> str:
    """Returns the path of the checkpoint after so many steps."""
    return str(workdir / FOLDER / f"ckpt-{step}")


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
        key.startswith(f"{name}/") for key, _ in tf.train.list_variables(path)
    )


def _restore_part(path: str, name: str, model: keras.Model) -> None:
    status = tf.train.Checkpoint(**{name: model}).restore(path)
    status.expect_partial().assert_existing_objects_matched()
