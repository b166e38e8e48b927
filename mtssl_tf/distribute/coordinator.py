"""What the first shard decides: who is here, whose turn it is, when to save.

A joined checkpoint is a cut through the whole run: from the moment it is due
no commit is made, each group hands in its head as it is (a deposit), and once
all have, the state is written. A group that is away holds the others up for
`store_timeout_s` at most, and one that has ended not at all: then its last
deposit stands in, and the log says so.
"""

from __future__ import annotations

from collections.abc import Mapping
import time
from typing import Any

from absl import logging
import numpy as np

from mtssl_tf import config as config_lib
from mtssl_tf.distribute import cluster as cluster_lib
from mtssl_tf.distribute import roster
from mtssl_tf.distribute import trunk_store
from mtssl_tf.training import schedule

Reply = dict[str, Any]

DEPOSIT = "deposit"  # Hand in the head as it is now, then ask again.
END = "end"  # All is saved, or nothing can be: leave.


class Coordinator:
    """Keeps the groups in step where they must be. Its caller locks."""

    def __init__(
        self,
        cluster: cluster_lib.Cluster,
        config: config_lib.RunConfig,
        num_steps: int,
    ) -> None:
        """Starts before the first step.

        Args:
            cluster: the cluster file.
            config: the run's settings.
            num_steps: after which the run is over, over all tasks.
        """
        self.roster = roster.Roster(cluster, config)
        self.steps = {name: 0 for name in config.tasks}
        self.message = ""
        self._cluster = cluster
        self._num_steps = num_steps
        self._save_every = config.train.save_every
        self._weights = {n: t.weight for n, t in config.tasks.items()}
        self._deposits: dict[str, tuple[int, np.ndarray]] = {}
        # Task -> step of the deposit that is arriving, and its parts.
        self._partial: dict[str, tuple[int, dict[int, np.ndarray]]] = {}
        self._begun: dict[str, int] = {}
        self._held_since: float | None = None
        self._is_stopping = False
        self._is_over = False

    @property
    def num_done(self) -> int:
        """Steps of all tasks."""
        return sum(self.steps.values())

    @property
    def is_over(self) -> bool:
        """Whether every process may leave."""
        return self._is_over

    @property
    def must_end(self) -> bool:
        """Whether the run ends once it is saved."""
        return self._is_stopping or self.num_done >= self._num_steps

    @property
    def is_held(self) -> bool:
        """Whether commits wait for a checkpoint."""
        return self._held_since is not None

    def start_at(
        self,
        steps: Mapping[str, int],
        deposits: Mapping[str, tuple[int, np.ndarray]],
    ) -> None:
        """Goes to a state: steps of each task, deposits and their steps."""
        self.steps = dict(steps)
        self._partial.clear()
        self._begun.clear()
        self._deposits = dict(deposits)
        self._held_since = None

    def stop(self) -> None:
        """Ends the run after a checkpoint."""
        if not self.must_end:
            self._is_stopping = True
        self.hold()

    def fail(self, message: str) -> None:
        """Ends the run now, for a reason that everybody is told."""
        self.message = self.message or message
        self._is_over = True

    def hold(self) -> None:
        """Asks for a checkpoint."""
        if self._held_since is None:
            self._held_since = time.monotonic()

    def release(self) -> None:
        """Goes on after the checkpoint, or ends."""
        self._held_since = None
        if self.must_end:
            self._is_over = True

    def may_go_on(self, task: str) -> Reply | None:
        """Returns None where a task may commit its step, or what to do."""
        if self._is_over:
            return {"status": END, "message": self.message}
        if self.is_held:
            if self._deposits[task][0] != self.steps[task]:
                return {"status": DEPOSIT, "step": self.steps[task]}
            return {"status": trunk_store.WAITING, "message": "saving"}
        return None

    def is_turn_of(self, task: str) -> Reply | None:
        """Like `may_go_on`, and for the task's turn too; for mode `turns`.

        What one worker of a group was told holds for the others: it waits for
        them in its all-reduce, whatever has happened since.
        """
        if self._begun.get(task) == self.steps[task]:
            return None
        reply = self.may_go_on(task)
        next_task = schedule.next_task(self.steps, self._weights)
        if reply is None and next_task != task:
            reply = {
                "status": trunk_store.WAITING,
                "message": f"it is the turn of {next_task}",
            }
        if reply is None:
            self._begun[task] = self.steps[task]
        return reply

    def count(self, steps: Mapping[str, int]) -> None:
        """Takes over how many steps are committed."""
        before = self.num_done
        self.steps = dict(steps)
        done = self.num_done
        is_due = done // self._save_every > before // self._save_every
        if done > before and (is_due or self.must_end):
            self.hold()

    def deposit(
        self, task: str, step: int, part: int, count: int, data: np.ndarray
    ) -> None:
        """Keeps a part of what a group owns; whole, it replaces the last.

        One older than the last is from a process of the group's past, and one
        from a step to come was sent to a store that has gone back since.

        Args:
            task: the group's.
            step: of the task, at which the group handed it in.
            part: index of this part.
            count: of parts.
            data: float32 [n].
        """
        if not self._deposits[task][0] <= step <= self.steps[task]:
            return
        known, parts = self._partial.get(task, (step, {}))
        if part == 0 or known != step:
            parts = {}
        parts[part] = data
        self._partial[task] = (step, parts)
        if len(parts) == count:
            whole = np.concatenate([parts[i] for i in range(count)])
            self._deposits[task] = (step, whole)
            del self._partial[task]

    def deposited(self, task: str) -> tuple[int, np.ndarray]:
        """Returns the last deposit and its step."""
        return self._deposits[task]

    def deposits_to_save(self) -> dict[str, np.ndarray] | None:
        """Returns all deposits, or None while one is still to come."""
        late = {
            task: step
            for task, (step, _) in self._deposits.items()
            if step != self.steps[task]
        }
        if late:
            held_s = time.monotonic() - (self._held_since or 0.0)
            may_come = not all(self.roster.has_left(task) for task in late)
            if may_come and held_s < self._cluster.store_timeout_s:
                return None
            for task, step in late.items():
                logging.warning(
                    "The group of %s is away: this checkpoint has its head "
                    "as after %d of its steps, and %d of them in the trunk.",
                    task,
                    step,
                    self.steps[task],
                )
        return {task: vector for task, (_, vector) in self._deposits.items()}
