"""Decides when commits go on: order, turns, the cut for a checkpoint, the end.

A commit is numbered once every shard holds its gradient, and all shards apply
commits in the order of their numbers: so a group that dies leaves no half of
one, and one that is repeated is answered as done. A joint checkpoint is a cut
through the whole run: from the moment it is due no commit is made, each group
hands in its head as it is (a deposit), and once all have, the shards are
copied and commits go on. A group that dies takes along what its head has
learned since; in turns, where a run is to end as one that nothing happened to,
all go back to the last checkpoint then. Calls that wait return within seconds,
to be made again; nothing here knows of processes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
import dataclasses
import threading
import time
from typing import Any

from mtssl_tf.distribute import shard as shard_lib
from mtssl_tf.training import gpu_hours
from mtssl_tf.training import schedule
from mtssl_tf.weighting import weighing as weighing_lib

OK = "ok"
WAIT = "wait"  # Ask again.
DEPOSIT = "deposit"  # Hand in the head as it is now, then ask again.
STALE = "stale"  # Of a former generation of its group: leave.
AHEAD = "ahead"  # The store is at an earlier step: the group starts anew.
END = "end"  # All is saved, or nothing can be: leave.

_WAIT_S = 5.0  # ours: how long a call waits before it is to be made again


@dataclasses.dataclass(frozen=True)
class Plan:
    """What the coordinator must know of a run.

    Attributes:
        num_steps: after which the run is over, over all tasks.
        save_every: steps between joint checkpoints.
        weights: task -> its share of the steps, for turns.
        mode: of `options.MODES`.
        num_shards: of the store.
        away_timeout_s: how long a cut waits for a group that is away.
        snapshot_every: GPU hours between snapshots; 0 for none.
        seconds: task -> GPU seconds of one of its steps; empty where they
            are unknown.
        since: task -> its steps when it got its weight, for turns.
        weighing: moves the shares; None where they are the weights'.
    """

    num_steps: int
    save_every: int
    weights: Mapping[str, float]
    mode: str
    num_shards: int
    away_timeout_s: float
    snapshot_every: float = 0.0
    seconds: Mapping[str, float] = dataclasses.field(default_factory=dict)
    since: Mapping[str, int] = dataclasses.field(default_factory=dict)
    weighing: weighing_lib.Weighing | None = None


@dataclasses.dataclass(frozen=True)
class Reply:
    """What a worker is told.

    Attributes:
        status: one of the words above.
        trunk: with OK to `begin`: what each shard's `version` gave.
    """

    status: str
    trunk: Any = None


@dataclasses.dataclass(frozen=True)
class Cut:
    """The whole run at one moment.

    Attributes:
        steps: of each task.
        deposits: task -> what its group owned, as it was handed in.
        shards: what each shard's `dump` gave.
        late: task -> step of its deposit, where that is an older one.
        is_last: whether no commit follows it: once it is saved, all is.
        gpu_hours: what the run has cost, where this is a snapshot's cut.
        weighing: what `Weighing.dump` gave; '' where shares do not move.
    """

    steps: dict[str, int]
    deposits: dict[str, Any]
    shards: list[Any]
    late: dict[str, int]
    is_last: bool
    gpu_hours: float | None = None
    weighing: str = ""


@dataclasses.dataclass
class _Group:
    """What is known of one task's workers."""

    generation: int = 0
    is_away: bool = True
    deposit: tuple[int, Any] = (0, None)
    # Of each task, as they were when this one had done its last.
    all_steps: dict[str, int] = dataclasses.field(default_factory=dict)
    told: Any = None  # the last record of `report`
    # Step -> the trunk it was given; two where groups overlap.
    begun: dict[int, Any] = dataclasses.field(default_factory=dict)


class Coordinator:
    """Keeps groups in step where they must be; every method is thread-safe."""

    def __init__(
        self,
        plan: Plan,
        call_shards: Callable[..., list[Any]],
        steps: Mapping[str, int],
        deposits: Mapping[str, Any],
    ) -> None:
        """Starts at a state.

        Args:
            plan: of the run.
            call_shards: (method, *arguments) -> what each shard returned.
            steps: of each task.
            deposits: task -> what its group owned then.
        """
        self._plan = plan
        self._prices = gpu_hours.GpuHours(plan.seconds)
        self._call_shards = call_shards
        self._groups = {
            task: _Group(
                deposit=(steps[task], deposits[task]),
                all_steps=dict(steps),
            )
            for task in plan.weights
        }
        self._committed: dict[str, int] = {}
        self._steps = dict(steps)
        # Sender -> a commit, and the shards that its gradient has come to.
        self._pending: dict[str, tuple[shard_lib.Commit, set[int]]] = {}
        self._number = 0
        self._trunk: tuple[int, Any] = (-1, None)  # commit number, versions
        self._due_since: float | None = None  # when a cut became due
        self._is_held = False  # no commit is made until it is taken
        self._held_since = 0.0
        self._is_stopping = False
        self._is_cut = self._is_torn = False
        self._behind = ""  # whose head has lost steps that the trunk has
        self._is_snapshot = False  # the next cut is kept
        self._message = ""
        self._reports: list[Any] = []
        self._updates: list[weighing_lib.Update] = []
        self._changed = threading.Condition()
        self._is_over = self._must_end()

    # From the command.

    def admit(self, task: str, size: int) -> tuple[int, int, Any]:
        """Lets a new generation of a group in; its predecessor's calls end.

        Returns:
            Its generation, the step it begins at, and its last deposit.
        """
        with self._changed:
            group = self._groups[task]
            group.generation += 1
            group.begun = {}
            group.is_away = True  # until its first step
            self._note_if_behind(task)
            for sender in [p for p in self._pending if _task(p) == task]:
                del self._pending[sender]
            for sender in [p for p in self._committed if _task(p) == task]:
                del self._committed[sender]  # there may be fewer now
            if self._plan.mode == "asynchronous":
                for rank in range(size):
                    self._committed[f"{task}/{rank}"] = self._steps[task]
            else:
                self._committed[task] = self._steps[task]
            self._changed.notify_all()
            return group.generation, self._steps[task], group.deposit[1]

    def leave(self, task: str) -> None:
        """Notes that a group is away, so that no cut waits for it long."""
        with self._changed:
            self._groups[task].is_away = True
            self._note_if_behind(task)
            self._changed.notify_all()

    def stop(self) -> None:
        """Ends the run after a checkpoint."""
        with self._changed:
            self._is_stopping = True
            self._hold()

    def fail(self, message: str) -> None:
        """Ends the run now, for a reason that everybody is told."""
        with self._changed:
            self._message = self._message or message
            self._is_over = True
            self._changed.notify_all()

    def status(self) -> dict[str, Any]:
        """Returns where the run is, and what is new since the last call.

        That is: `steps`, `is_over`, `message`; `behind`, the task for whose
        sake all must go back, or ''; `is_torn`, whether they must since some
        shards alone have a commit; `reports` and `updates` of shares.
        """
        with self._changed:
            reports, self._reports = self._reports, []
            updates, self._updates = self._updates, []
            return {
                "steps": dict(self._steps),
                "is_over": self._is_over,
                "message": self._message,
                "behind": self._behind,
                "is_torn": self._is_torn,
                "reports": reports,
                "updates": updates,
            }

    def take_cut(self) -> Cut | None:
        """Returns the state to save once there is one, and lets commits go on.

        At the run's end they do not; `end` comes after the last save.
        """
        with self._changed:
            self._hold_if_all_are_there()
            if not self._is_held or self._is_cut or self._is_over:
                return None
            late = {
                task: group.deposit[0]
                for task, group in self._groups.items()
                if self._owes_deposit(task)
            }
            if late and not self._may_be_late(late):
                return None
            self._is_cut = self._must_end()
            cut = Cut(
                dict(self._steps),
                {t: group.deposit[1] for t, group in self._groups.items()},
                self._call_shards("dump"),
                late,
                self._is_cut,
                self._prices.of(self._steps) if self._is_snapshot else None,
                self._plan.weighing.dump() if self._plan.weighing else "",
            )
            self._is_snapshot = False
            if not self._is_cut:
                self._due_since, self._is_held = None, False
            self._changed.notify_all()
            return cut

    def end(self) -> None:
        """Tells everybody to leave, once the last cut is saved."""
        with self._changed:
            self._is_over = True
            self._changed.notify_all()

    # From workers.

    def begin(self, task: str, generation: int, step: int) -> Reply:
        """Returns the trunk to compute a step with, the same to all ranks."""
        deadline = time.monotonic() + _WAIT_S
        with self._changed:
            group = self._groups[task]
            if generation == group.generation:
                group.is_away = False
            while True:
                if generation != group.generation:
                    return Reply(END if self._is_over else STALE)
                if step in group.begun:
                    # At the run's end too: a rank that has begun waits for
                    # the others in their sum, and all are told at the commit.
                    return Reply(OK, group.begun[step])
                if self._is_over:
                    return Reply(END)
                reply = self._hold_up(task)
                if reply is None:
                    trunk = self._newest_trunk()
                    if self._plan.mode != "asynchronous":
                        self._note_begun(task, step, trunk)
                    return Reply(OK, trunk)
                if reply.status == DEPOSIT or not self._wait(deadline):
                    return reply

    def commit(
        self, commit: shard_lib.Commit, rank: int, shards: Sequence[int]
    ) -> Reply:
        """Returns OK once a gradient is applied on every shard.

        Args:
            commit: whose gradient it is.
            rank: of the worker in its group.
            shards: those that this worker has staged its gradient on.
        """
        deadline = time.monotonic() + _WAIT_S
        with self._changed:
            refusal = self._refuse(commit)
            if refusal:
                return refusal
            pending = self._pending.get(commit.sender)
            if pending is None or pending[0] != commit:
                pending = self._pending[commit.sender] = (commit, set())
            pending[1].update(shards)
            while True:
                refusal = self._refuse(commit)
                if refusal:
                    return refusal
                owes = self._owes_deposit(commit.task)
                # In turns no head is handed in from within a step.
                if not self._is_held or (self._is_exact and owes):
                    self._apply_what_is_whole()
                    if self._committed[commit.sender] > commit.step:
                        return Reply(OK)
                elif rank == 0 and owes:
                    return Reply(DEPOSIT)
                if not self._wait(deadline):
                    return Reply(WAIT)

    def deposit(
        self, task: str, generation: int, step: int, vector: Any
    ) -> None:
        """Keeps what a group owns, as it was when the trunk had its step."""
        with self._changed:
            group = self._groups[task]
            if self._plan.mode == "asynchronous":
                step = self._steps[task]  # `step` is the worker's own
            if generation == group.generation and step <= self._steps[task]:
                group.deposit = (step, vector)
                self._changed.notify_all()

    def report(self, record: Any, seconds_per_step: float) -> None:
        """Passes a group's metrics on to the command.

        With the number of steps of all tasks as it was when the group had
        done its last one, however far others have come since.
        """
        with self._changed:
            group = self._groups[record.task]
            if record == group.told:
                return  # sent again: the link was cut, and this had come
            group.told = record
            steps = group.all_steps
            if self._plan.seconds:
                cost = self._prices.of(steps)
                record = dataclasses.replace(record, gpu_hours=cost)
            self._reports.append(
                (sum(steps.values()), record, seconds_per_step)
            )

    def _note_if_behind(self, task: str) -> None:
        """Notes, in turns, that a group has died with steps of its head."""
        if self._is_exact and self._owes_deposit(task) and not self._is_over:
            self._behind = self._behind or task

    def _note_begun(self, task: str, step: int, trunk: Any) -> None:
        """Keeps a trunk for the other ranks until its step is over."""
        group = self._groups[task]
        for over in [s for s in group.begun if s < self._steps[task]]:
            del group.begun[over]
        group.begun[step] = trunk

    def _wait(self, deadline: float) -> bool:
        """Waits for a change; returns false once it is time to answer."""
        rest = deadline - time.monotonic()
        return rest > 0 and bool(self._changed.wait(rest))

    def _refuse(self, commit: shard_lib.Commit) -> Reply | None:
        if commit.generation != self._groups[commit.task].generation:
            return Reply(END if self._is_over else STALE)
        committed = self._committed[commit.sender]
        if commit.step < committed:
            return Reply(OK)  # at the end too: other ranks were told so
        if self._is_over:
            return Reply(END)
        if commit.step > committed:
            return Reply(AHEAD)
        return Reply(WAIT) if self._is_torn else None

    def _hold_up(self, task: str) -> Reply | None:
        """Returns None where a task may begin its step."""
        if self._plan.mode != "turns":
            return None
        if self._is_held:
            return Reply(DEPOSIT if self._owes_deposit(task) else WAIT)
        plan = self._plan
        whose = schedule.next_turn(
            self._steps, plan.weights, plan.since, plan.weighing
        )
        return None if whose == task else Reply(WAIT)

    def _owes_deposit(self, task: str) -> bool:
        return self._groups[task].deposit[0] != self._steps[task]

    def _newest_trunk(self) -> Any:
        if self._trunk[0] != self._number:
            self._trunk = (-1, None)  # nobody needs it beside its successor
            self._trunk = (self._number, self._call_shards("version"))
        return self._trunk[1]

    def _apply_what_is_whole(self) -> None:
        whole = [
            commit
            for commit, shards in self._pending.values()
            if len(shards) == self._plan.num_shards
        ]
        if self._plan.mode == "synchronous":
            if {commit.task for commit in whole} != set(self._groups):
                return
            # In the order in which the tasks are listed, whoever came first.
            order = list(self._groups)
            whole.sort(key=lambda commit: order.index(commit.task))
        before, weighing = dict(self._steps), self._plan.weighing
        for commit in whole:
            self._number += 1
            self._is_torn = True  # until all shards have it
            self._call_shards("apply", self._number, self._scaled(commit))
            self._is_torn = False
            del self._pending[commit.sender]
            self._committed[commit.sender] += 1
            self._count(commit.task)
            if weighing:
                weighing.add_step(commit.task, commit.loss, commit.consistency)
        if whole:
            update = weighing.update(self._steps) if weighing else None
            self._updates += [update] if update else []
            self._hold_if_due(before)
            self._changed.notify_all()

    def _scaled(self, commit: shard_lib.Commit) -> shard_lib.Commit:
        """Returns a commit that moves the trunk by its task's share.

        In turns the share is that of the steps.
        """
        weighing = self._plan.weighing
        if weighing is None or self._plan.mode == "turns":
            return commit
        scale = weighing.scale(commit.task)
        return dataclasses.replace(commit, trunk_scale=scale)

    def _count(self, task: str) -> None:
        # Asynchronous workers commit parts of a batch each.
        counts = [n for p, n in self._committed.items() if _task(p) == task]
        self._steps[task] = sum(counts) // len(counts)
        self._groups[task].all_steps = dict(self._steps)

    def _hold_if_due(self, before: Mapping[str, int]) -> None:
        every = self._plan.save_every
        done = self._num_done()
        is_due = done // every > sum(before.values()) // every
        snapshot_every = self._plan.snapshot_every
        if snapshot_every and self._prices.crosses(
            before, self._steps, snapshot_every
        ):
            self._is_snapshot = is_due = True
        if is_due or self._must_end():
            self._hold()

    def _hold(self) -> None:
        """Notes that a cut is due."""
        if self._due_since is None:
            self._due_since = time.monotonic()
        self._hold_if_all_are_there()

    def _hold_if_all_are_there(self) -> None:
        """Closes admission for a cut that is due.

        A group that is starting anew is waited for, and meanwhile the others
        go on, unless the run is to end.
        """
        if self._due_since is None or self._is_held:
            return
        are_there = not any(group.is_away for group in self._groups.values())
        if are_there or self._must_end() or self._is_overdue():
            self._is_held, self._held_since = True, time.monotonic()
            self._changed.notify_all()

    def _is_overdue(self) -> bool:
        held_s = time.monotonic() - (self._due_since or time.monotonic())
        return held_s >= self._plan.away_timeout_s

    def _must_end(self) -> bool:
        return self._is_stopping or self._num_done() >= self._plan.num_steps

    def _num_done(self) -> int:
        return sum(self._steps.values())

    @property
    def _is_exact(self) -> bool:
        """Whether the run must end as one that nothing happened to."""
        return self._plan.mode == "turns"

    def _may_be_late(self, late: Mapping[str, int]) -> bool:
        """Returns whether a cut may have older heads of some tasks."""
        if self._is_exact:
            return False
        limit_s = self._plan.away_timeout_s
        if time.monotonic() - self._held_since >= limit_s:
            return True
        if not (self._is_overdue() or self._is_stopping):
            return False
        return all(self._groups[task].is_away for task in late)


def _task(sender: str) -> str:
    return sender.split("/")[0]
