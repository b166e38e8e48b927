"""One shard of the store: slices of the trunk, an RMSProp a task, in order.

A gradient is staged, and waits until the coordinator numbers it; then it is
applied with its task's slots. Nothing here knows of processes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
import copy
import dataclasses
import threading
from typing import Any

import numpy as np

from mtssl_tf.lazy_imports import tf
from mtssl_tf.training import rmsprop as rmsprop_lib

TRUNK = "trunk"
VALUES = "values"
SLOTS = ("mean_square", "momentum")


@dataclasses.dataclass(frozen=True)
class Rmsprop:
    """Constants of one task's RMSProp but for its rate, which may change."""

    decay: float
    momentum: float
    epsilon: float


@dataclasses.dataclass(frozen=True)
class Commit:
    """One gradient: whose it is, and of which step.

    Attributes:
        sender: a task, or `TASK/RANK` where workers commit alone.
        task: whose slots it is applied with.
        generation: of the group; a former one's gradients are void.
        step: of the sender, from 0.
        learning_rate: of that step.
        trunk_scale: what the trunk's part of the step is scaled by, besides.
        loss: of its batch; no part of what the commit is.
        consistency: of the halves of its batch, likewise; None where nobody
            measured.
    """

    sender: str
    task: str
    generation: int
    step: int
    learning_rate: float
    trunk_scale: float = 1.0
    loss: float = dataclasses.field(default=0.0, compare=False)
    consistency: float | None = dataclasses.field(default=None, compare=False)


class Shard:
    """Slices of the store's segments."""

    def __init__(
        self, rmsprop: Rmsprop, put: Callable[[Any], Any] = copy.deepcopy
    ) -> None:
        """Makes an empty shard.

        Args:
            rmsprop: of every task.
            put: makes a copy that outlives the next commit, or a reference
                to one.
        """
        self._rmsprop = rmsprop
        self._put = put
        self._variables: dict[tuple[str, str], tf.Variable] = {}
        self._staged: dict[str, tuple[int, int, dict[str, np.ndarray]]] = {}
        self._number = 0
        self._lock = threading.Lock()

    def load(self, arrays: Mapping[tuple[str, str], np.ndarray]) -> None:
        """Sets (segment, `values` or `TASK/SLOT`) to float32 [n] each."""
        with tf.device("CPU:0"):
            self._variables = {
                key: tf.Variable(np.array(array), trainable=False)
                for key, array in arrays.items()
            }

    def stage(
        self,
        sender: str,
        generation: int,
        step: int,
        gradients: Mapping[str, np.ndarray],
    ) -> None:
        """Keeps a gradient until it is applied or replaced.

        Args:
            sender: as in `Commit`.
            generation: the same.
            step: the same.
            gradients: segment -> float32 [n], or its upper halves, uint16.
        """
        with self._lock:
            known = self._staged.get(sender)
            if known is None or (generation, step) >= known[:2]:
                whole = {name: from_wire(g) for name, g in gradients.items()}
                self._staged[sender] = (generation, step, whole)

    def apply(self, number: int, commit: Commit) -> None:
        """Applies what is staged, as the commit of that number.

        Raises:
            ValueError: another commit comes first, or nothing is staged.
        """
        with self._lock:
            if number != self._number + 1:
                raise ValueError(
                    f"Commit {number} came after commit {self._number}."
                )
            generation, step, gradients = self._staged.pop(
                commit.sender, (0, -1, {})
            )
            if (generation, step) != (commit.generation, commit.step):
                raise ValueError(
                    f"{commit} is to be applied; step {step} of generation "
                    f"{generation} is staged."
                )
            for segment, gradient in gradients.items():
                self._apply(segment, gradient, commit)
            self._number = number

    def version(self) -> list[Any]:
        """Returns, in a list, what `put` makes of {segment: values}."""
        with self._lock:
            return [
                self._put(
                    {
                        segment: _look_at(variable)
                        for (segment, name), variable in self._variables.items()
                        if name == VALUES
                    }
                )
            ]

    def dump(self) -> list[Any]:
        """Returns, in a list, what `put` makes of all that `load` set."""
        with self._lock:
            return [
                self._put(
                    {key: _look_at(v) for key, v in self._variables.items()}
                )
            ]

    def _apply(
        self, segment: str, gradient: np.ndarray, commit: Commit
    ) -> None:
        mean_square, momentum = (
            self._variables[segment, f"{commit.task}/{slot}"].handle
            for slot in SLOTS
        )
        rate = commit.learning_rate
        if segment == TRUNK:
            rate *= commit.trunk_scale
        rmsprop_lib.update(
            self._variables[segment, VALUES].handle,
            mean_square,
            momentum,
            gradient,
            rate,
            self._rmsprop.decay,
            self._rmsprop.momentum,
            self._rmsprop.epsilon,
        )


def to_wire(gradient: np.ndarray, wire: str) -> np.ndarray:
    """Returns float32 [n] as it travels: bfloat16 as its bits, uint16."""
    if wire == "float32":
        return gradient
    # To the nearest, ties to even.
    return gradient.astype(tf.bfloat16.as_numpy_dtype).view(np.uint16)


def from_wire(gradient: np.ndarray) -> np.ndarray:
    """Returns float32 [n] of what `to_wire` made."""
    if gradient.dtype == np.float32:
        return gradient
    bits = np.left_shift(gradient, 16, dtype=np.uint32)
    return bits.view(np.float32)


def _look_at(variable: tf.Variable) -> np.ndarray:
    """Returns a variable's memory as it is, float32 [n]; not to be kept.

    Who keeps it makes the next commit copy the variable.
    """
    return np.asarray(memoryview(variable.read_value()))


def bounds(size: int, num_shards: int) -> list[tuple[int, int]]:
    """Returns where each shard's slice of a vector starts and stops."""
    edges = [size * index // num_shards for index in range(num_shards + 1)]
    return list(zip(edges, edges[1:]))
