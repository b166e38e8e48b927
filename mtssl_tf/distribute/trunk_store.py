"""One shard of the trunk: parameters, an RMSProp per task, commits.

A gradient arrives in chunks and waits until it is whole. A commit then
applies it with that task's slots. Commits of one pusher are ordered by its
step: one that was made is never made again, one from the future is refused.
With several shards the first one decides: its commit comes after all others
are prepared, and theirs follow, if need be when the group's next step begins.
Nothing here knows about networks.
"""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses
import threading
from typing import Any

import tensorflow as tf

from mtssl_tf import config as config_lib
from mtssl_tf.distribute import chunks

Reply = dict[str, Any]

# What a shard answers.
OK = "ok"
INCOMPLETE = "incomplete"  # A part of the gradient is missing.
WAITING = "waiting"  # For other tasks, or for a checkpoint.
LOADING = "loading"  # The shard has no parameters yet.
AHEAD = "ahead"  # The store is at an earlier step than the pusher.
STALE = "stale"  # A process of the group's past; its group has restarted.


@dataclasses.dataclass(frozen=True)
class Rmsprop:
    """Constants of one task's RMSProp."""

    learning_rate: float
    decay: float
    momentum: float
    epsilon: float


def rmsprops_of(config: config_lib.RunConfig) -> dict[str, Rmsprop]:
    """Returns the constants of every task's RMSProp."""
    train = config.train
    return {
        name: Rmsprop(
            task.learning_rate, train.rms_decay, train.momentum, train.epsilon
        )
        for name, task in config.tasks.items()
    }


class TrunkStore:
    """The chunks of one shard."""

    def __init__(
        self,
        layout: chunks.ChunkLayout,
        shard: int,
        pushers: Mapping[str, str],
        rmsprops: Mapping[str, Rmsprop],
        is_synchronous: bool = False,
    ) -> None:
        """Makes an empty shard; `load` and `open` fill it.

        Args:
            layout: of the whole store.
            shard: which one this is.
            pushers: who commits -> for which task.
            rmsprops: task -> its constants.
            is_synchronous: whether commits wait until every pusher has one,
                and are then made together.
        """
        self._pushers = dict(pushers)
        self._rmsprops = rmsprops
        self._is_synchronous = is_synchronous
        self._chunks = layout.on_shard(shard)
        self._needed = {
            pusher: {
                chunk.name
                for chunk, _ in layout.of_task(task)
                if chunk.shard == shard
            }
            for pusher, task in pushers.items()
        }
        self._variables: dict[tuple[str, str], tf.Variable] = {}
        self._gradients: dict[str, dict[str, tf.Tensor]] = {}
        self._generations: dict[str, int] = {}
        self._ready: set[str] = set()
        self._committed: dict[str, int] = {}
        self._is_open = False
        self._lock = threading.RLock()

    @property
    def is_open(self) -> bool:
        """Whether the shard has its parameters."""
        return self._is_open

    @property
    def committed(self) -> dict[str, int]:
        """Steps that each pusher has committed."""
        with self._lock:
            return dict(self._committed)

    def load(self, name: str, chunk: str, values: tf.Tensor) -> None:
        """Sets `values` or `TASK/SLOT` of a chunk; closes the shard."""
        with self._lock, tf.device("CPU:0"):
            self._is_open = False
            key = (name, chunk)
            if key in self._variables:
                self._variables[key].assign(values)
            else:
                self._variables[key] = tf.Variable(values, trainable=False)

    def open(self, committed: Mapping[str, int]) -> None:
        """Starts to serve, at these steps."""
        with self._lock:
            self._committed = dict(committed)
            self._gradients.clear()
            self._ready.clear()
            self._is_open = True

    def dump(self, name: str, chunk: str) -> tf.Tensor:
        """Returns `values` or `TASK/SLOT` of a chunk, float32 [n]."""
        return self._variables[name, chunk].read_value()

    def names(self) -> list[tuple[str, str]]:
        """Returns everything that `dump` has."""
        return list(self._variables)

    def push(
        self,
        pusher: str,
        generation: int,
        step: int,
        chunk: str,
        gradient: tf.Tensor,
    ) -> Reply:
        """Keeps a chunk of a gradient until it is committed."""
        with self._lock:
            refusal = self._refuse(pusher, generation, step)
            if refusal:
                return refusal
            if chunk not in self._needed[pusher]:
                raise ValueError(f"{chunk} of {pusher} is not on this shard.")
            if step == self._committed[pusher]:
                self._gradients.setdefault(pusher, {})[chunk] = gradient
            return {"status": OK}

    def prepare(self, pusher: str, generation: int, step: int) -> Reply:
        """Returns whether a gradient is whole here, or applied already."""
        with self._lock:
            refusal = self._refuse(pusher, generation, step)
            if refusal:
                return refusal
            missing = self._missing(pusher)
            if missing and step == self._committed[pusher]:
                return {"status": INCOMPLETE, "missing": missing}
            return {"status": OK}

    def commit(self, pusher: str, generation: int, step: int) -> Reply:
        """Applies a gradient once, all of this shard's chunks or none."""
        with self._lock:
            prepared = self.prepare(pusher, generation, step)
            if prepared["status"] != OK or step < self._committed[pusher]:
                return prepared
            self._ready.add(pusher)
            absent = sorted(set(self._pushers) - self._ready)
            if self._is_synchronous and absent:
                return {"status": WAITING, "message": f"waiting for {absent}"}
            self._apply([p for p in self._pushers if p in self._ready])
            return {"status": OK}

    def pull(self, chunk: str) -> tf.Tensor:
        """Returns the values of a chunk, from before or after any commit."""
        return self.dump(chunks.VALUES, chunk)

    def _refuse(self, pusher: str, generation: int, step: int) -> Reply | None:
        if not self._is_open:
            return {"status": LOADING}
        if pusher not in self._pushers:
            raise ValueError(
                f"{pusher!r} commits nothing here. Known: "
                f"{list(self._pushers)}."
            )
        known = self._generations.get(pusher, 0)
        if generation < known:
            return {"status": STALE}
        committed = self._committed[pusher]
        if step == committed + 1 and not self._missing(pusher):
            # The first shard has made this commit, which it does only once
            # all have the whole gradient. The group died before it was here.
            self._apply([pusher])
        if generation > known:
            # What the group's former processes left behind is void.
            self._generations[pusher] = generation
            self._gradients.pop(pusher, None)
            self._ready.discard(pusher)
        if step > self._committed[pusher]:
            return {"status": AHEAD, "step": self._committed[pusher]}
        return None

    def _missing(self, pusher: str) -> list[str]:
        present = self._gradients.get(pusher, {})
        return sorted(self._needed[pusher] - set(present))

    def _apply(self, pushers: list[str]) -> None:
        for pusher in pushers:
            self._apply_one(pusher)

    def _apply_one(self, pusher: str) -> None:
        task = self._pushers[pusher]
        rmsprop = self._rmsprops[task]
        for chunk, gradient in self._gradients.pop(pusher, {}).items():
            mean_square, momentum = (
                self._variables[f"{task}/{slot}", chunk].handle
                for slot in chunks.SLOTS
            )
            # Locking makes a read at the same time see all or nothing.
            tf.raw_ops.ResourceApplyRMSProp(
                var=self._variables[chunks.VALUES, chunk].handle,
                ms=mean_square,
                mom=momentum,
                lr=rmsprop.learning_rate,
                rho=rmsprop.decay,
                momentum=rmsprop.momentum,
                epsilon=rmsprop.epsilon,
                grad=gradient,
                use_locking=True,
            )
        self._ready.discard(pusher)
        self._committed[pusher] += 1
