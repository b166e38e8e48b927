"""When commits go on: order, replays, turns, cuts and the end."""

import threading
import time

import numpy as np
import pytest

from mtssl_tf.distribute import coordinator as coordinator_lib
from mtssl_tf.distribute import shard as shard_lib
from mtssl_tf.reports import metrics_record
from mtssl_tf.training import schedule
from mtssl_tf.weighting import weighing as weighing_lib

A, B = "a", "b"


class Shards:
    """What the coordinator asks of the store, written down."""

    def __init__(self):
        self.applied = []
        self.scales = []
        self.versions = 0

    def __call__(self, method, *arguments):
        if method == "apply":
            number, commit = arguments
            assert number == len(self.applied) + 1
            self.applied.append((commit.sender, commit.step))
            self.scales.append(commit.trunk_scale)
        if method == "version":
            self.versions += 1
        return [(method, len(self.applied))]


def build(monkeypatch, mode="hybrid", num_steps=100, **plan):
    monkeypatch.setattr(coordinator_lib, "_WAIT_S", 0.05)
    shards = Shards()
    plan = {"save_every": 1000, "num_shards": 2, "away_timeout_s": 60.0} | plan
    coordinator = coordinator_lib.Coordinator(
        coordinator_lib.Plan(
            num_steps, weights={A: 1, B: 1}, mode=mode, **plan
        ),
        shards,
        {A: 0, B: 0},
        {A: "start of a", B: "start of b"},
    )
    return coordinator, shards


def commit(coordinator, sender, step, generation=1, rank=0, shards=(0, 1)):
    task = sender.split("/")[0]
    return coordinator.commit(
        shard_lib.Commit(sender, task, generation, step, 0.1), rank, shards
    ).status


def test_a_commit_waits_for_every_shard(monkeypatch):
    coordinator, shards = build(monkeypatch)
    coordinator.admit(A, 2)
    assert commit(coordinator, A, 0, shards=[0]) == "wait"
    assert shards.applied == []
    # The other worker has the other shard's part.
    assert commit(coordinator, A, 0, rank=1, shards=[1]) == "ok"
    assert commit(coordinator, A, 0, shards=[0]) == "ok"
    assert shards.applied == [(A, 0)]


def test_a_replay_is_done_and_a_step_to_come_is_refused(monkeypatch):
    coordinator, shards = build(monkeypatch)
    coordinator.admit(A, 1)
    for _ in range(3):
        assert commit(coordinator, A, 0) == "ok"
    assert shards.applied == [(A, 0)]
    assert commit(coordinator, A, 5) == "ahead"
    assert coordinator.status()["steps"] == {A: 1, B: 0}


def test_a_new_generation_ends_its_predecessor(monkeypatch):
    coordinator, shards = build(monkeypatch)
    assert coordinator.admit(A, 1) == (1, 0, "start of a")
    assert commit(coordinator, A, 0, shards=[0]) == "wait"
    assert coordinator.admit(A, 1)[0] == 2
    assert commit(coordinator, A, 0, generation=1, shards=[1]) == "stale"
    assert coordinator.begin(A, 1, 0).status == "stale"
    # Half a gradient of the dead is no half of the next one's.
    assert commit(coordinator, A, 0, generation=2, shards=[1]) == "wait"
    assert shards.applied == []


def test_a_waiting_call_returns_when_its_group_is_renewed(monkeypatch):
    coordinator, _ = build(monkeypatch)
    monkeypatch.setattr(coordinator_lib, "_WAIT_S", 30.0)
    coordinator.admit(A, 1)
    said = []
    waiter = threading.Thread(
        target=lambda: said.append(commit(coordinator, A, 0, shards=[0]))
    )
    waiter.start()
    time.sleep(0.1)
    coordinator.admit(A, 1)
    waiter.join(5)
    assert said == ["stale"]


def test_all_ranks_compute_with_the_same_trunk(monkeypatch):
    coordinator, shards = build(monkeypatch)
    coordinator.admit(A, 2)
    coordinator.admit(B, 1)
    first = coordinator.begin(A, 1, 0).trunk
    assert commit(coordinator, B, 0) == "ok"
    assert coordinator.begin(A, 1, 0).trunk is first
    assert coordinator.begin(B, 1, 1).trunk is not first
    # A version is put once, whoever asks for it.
    assert commit(coordinator, A, 0) == "ok"
    before = shards.versions
    coordinator.begin(A, 1, 1)
    coordinator.begin(B, 1, 1)
    assert shards.versions == before + 1


def test_synchronous_mode_applies_all_tasks_together(monkeypatch):
    coordinator, shards = build(monkeypatch, "synchronous")
    coordinator.admit(A, 1)
    coordinator.admit(B, 1)
    assert commit(coordinator, B, 0) == "wait"
    assert commit(coordinator, A, 0) == "ok"
    assert commit(coordinator, B, 0) == "ok"
    assert shards.applied == [(A, 0), (B, 0)]


def test_turns_are_those_of_one_machine(monkeypatch):
    coordinator, shards = build(monkeypatch, "turns")
    coordinator.admit(A, 1)
    coordinator.admit(B, 1)
    steps = {A: 0, B: 0}
    for _ in range(6):
        task = schedule.next_task(steps, {A: 1, B: 1})
        other = B if task == A else A
        assert coordinator.begin(other, 1, steps[other]).status == "wait"
        assert coordinator.begin(task, 1, steps[task]).status == "ok"
        assert commit(coordinator, task, steps[task]) == "ok"
        steps[task] += 1
    assert [task for task, _ in shards.applied] == [A, B] * 3


@pytest.mark.parametrize(
    "mode, has_handed_in, behind",
    [("turns", False, A), ("turns", True, ""), ("hybrid", False, "")],
)
def test_in_turns_all_go_back_for_a_head_that_is_lost(
    monkeypatch, mode, has_handed_in, behind
):
    # A run in turns is to end as one that nothing happened to, to the bit. The
    # steps that a dead group's head had and its last deposit has not are what
    # no other part has.
    coordinator, _ = build(monkeypatch, mode, save_every=1, away_timeout_s=0.3)
    for task in (A, B):
        coordinator.admit(task, 1)
        coordinator.leave(task)  # at the start: nothing is lost
        coordinator.admit(task, 1)
    coordinator.begin(A, 2, 0)
    assert commit(coordinator, A, 0, generation=2) == "ok"
    assert coordinator.status()["behind"] == ""
    if has_handed_in:
        coordinator.deposit(A, 2, 1, "head of a")
    coordinator.leave(A)
    assert coordinator.status()["behind"] == behind
    time.sleep(0.4)  # over `away_timeout_s`
    cut = coordinator.take_cut()
    assert (cut is None) == bool(behind)


def test_asynchronous_workers_commit_alone(monkeypatch):
    coordinator, shards = build(monkeypatch, "asynchronous")
    coordinator.admit(A, 2)
    assert commit(coordinator, "a/0", 0) == "ok"
    assert coordinator.status()["steps"][A] == 0  # half a batch
    assert commit(coordinator, "a/1", 0, rank=1) == "ok"
    assert coordinator.status()["steps"][A] == 1
    assert commit(coordinator, "a/0", 1) == "ok"
    assert shards.applied == [("a/0", 0), ("a/1", 0), ("a/0", 1)]


def test_a_cut_holds_all_up_and_has_every_head(monkeypatch):
    coordinator, shards = build(monkeypatch, save_every=2)
    for task in (A, B):
        coordinator.admit(task, 2)
        coordinator.begin(task, 1, 0)
    assert commit(coordinator, A, 0) == "ok"
    assert coordinator.take_cut() is None
    assert commit(coordinator, A, 1) == "ok"
    # Two steps in all: the cut is due.
    assert commit(coordinator, A, 2, rank=1) == "wait"
    assert commit(coordinator, A, 2) == "deposit"
    assert coordinator.take_cut() is None
    coordinator.deposit(A, 1, 2, "head of a")
    cut = coordinator.take_cut()
    assert cut.steps == {A: 2, B: 0}
    assert cut.deposits == {A: "head of a", B: "start of b"}
    assert cut.shards == [("dump", 2)] and not cut.late
    assert coordinator.take_cut() is None
    assert commit(coordinator, A, 2) == "ok"
    assert shards.applied[-1] == (A, 2)


def test_a_group_that_starts_anew_is_waited_for_while_others_go_on(
    monkeypatch,
):
    coordinator, _ = build(monkeypatch, save_every=1)
    for task in (A, B):
        coordinator.admit(task, 1)
    coordinator.begin(A, 1, 0)
    assert commit(coordinator, A, 0) == "ok"
    assert commit(coordinator, A, 1) == "ok"  # a cut is due, B is away
    coordinator.begin(B, 1, 0)
    assert coordinator.take_cut() is None
    assert commit(coordinator, A, 2) == "deposit"
    coordinator.deposit(A, 1, 2, "head of a")
    assert coordinator.take_cut().steps == {A: 2, B: 0}


def test_a_cut_is_taken_at_last_without_a_group_that_stays_away(monkeypatch):
    coordinator, _ = build(monkeypatch, save_every=2, away_timeout_s=1.0)
    coordinator.admit(A, 1)
    coordinator.admit(B, 1)
    coordinator.begin(A, 1, 0)
    coordinator.begin(B, 1, 0)
    assert commit(coordinator, B, 0) == "ok"
    coordinator.leave(B)  # with its head, of which the start is kept
    assert commit(coordinator, A, 0) == "ok"
    assert coordinator.take_cut() is None
    time.sleep(1.1)
    # Kind: what is there was taken for what is away, and its head was old.
    assert coordinator.take_cut() is None
    assert commit(coordinator, A, 1) == "deposit"
    coordinator.deposit(A, 1, 1, "head of a")
    cut = coordinator.take_cut()
    assert cut.late == {B: 0} and cut.deposits[A] == "head of a"


def test_a_cut_is_taken_at_last_without_who_does_not_answer(monkeypatch):
    coordinator, _ = build(monkeypatch, save_every=1, away_timeout_s=0.5)
    for task in (A, B):
        coordinator.admit(task, 1)
        coordinator.begin(task, 1, 0)
    assert commit(coordinator, A, 0) == "ok"
    time.sleep(0.6)
    assert coordinator.take_cut().late == {A: 0}


@pytest.mark.parametrize("steps", [(3, 1), (1, 5)])
def test_workers_alone_hand_in_at_whatever_step_they_are(monkeypatch, steps):
    # Kind: one worker's count beside the mean of all.
    coordinator, _ = build(monkeypatch, mode="asynchronous")
    coordinator.admit(A, 2)
    for rank, num_steps in enumerate(steps):
        for step in range(num_steps):
            assert commit(coordinator, f"{A}/{rank}", step, rank=rank) == "ok"
    coordinator.stop()
    assert commit(coordinator, f"{A}/0", steps[0]) == "deposit"
    coordinator.deposit(A, 1, steps[0], "head of a")
    cut = coordinator.take_cut()
    assert not cut.late and cut.deposits[A] == "head of a"


def test_a_smaller_group_counts_its_own_steps_alone(monkeypatch):
    coordinator, _ = build(monkeypatch, mode="asynchronous")
    coordinator.admit(A, 4)
    for rank in range(4):
        commit(coordinator, f"{A}/{rank}", 0, rank=rank)
    coordinator.admit(A, 2)
    for rank in range(2):
        commit(coordinator, f"{A}/{rank}", 1, generation=2, rank=rank)
    assert coordinator.status()["steps"][A] == 2


def test_a_commit_that_some_shards_alone_have_sends_all_back(monkeypatch):
    # Kind: an error on the way left a state that nobody may go on from, and
    # the next call was refused for a reason that was none.
    coordinator, shards = build(monkeypatch)
    for task in (A, B):
        coordinator.admit(task, 1)
    call = coordinator._call_shards

    def lose_one(method, *arguments):
        call(method, *arguments)
        raise ConnectionError("shard 1 is gone")

    coordinator._call_shards = lose_one
    with pytest.raises(ConnectionError):
        commit(coordinator, A, 0)
    coordinator._call_shards = call
    assert coordinator.status()["is_torn"]
    for task in (A, B):
        assert commit(coordinator, task, 0) == "wait"
    assert shards.applied == [(A, 0)]
    assert not coordinator.status()["is_over"]


def test_a_stop_within_a_turn_waits_for_its_end(monkeypatch):
    # Kind: a head handed in from within a step, which is made again, has
    # moved its statistics twice.
    coordinator, shards = build(monkeypatch, mode="turns")
    for task in (A, B):
        coordinator.admit(task, 1)
        coordinator.begin(task, 1, 0)
        assert commit(coordinator, task, 0) == "ok"
    assert coordinator.begin(A, 1, 1).status == "ok"
    coordinator.stop()
    assert coordinator.take_cut() is None
    assert commit(coordinator, A, 1) == "ok"
    for task, step in ((A, 2), (B, 1)):
        assert coordinator.begin(task, 1, step).status == "deposit"
        coordinator.deposit(task, 1, step, f"head of {task}")
    cut = coordinator.take_cut()
    assert cut.steps == {A: 2, B: 1} and not cut.late and cut.is_last
    assert len(shards.applied) == 3


def test_a_group_that_has_left_stays_away(monkeypatch):
    coordinator, _ = build(monkeypatch, mode="turns")
    monkeypatch.setattr(coordinator_lib, "_WAIT_S", 2.0)
    for task in (A, B):
        coordinator.admit(task, 1)
    waiting = threading.Thread(target=coordinator.begin, args=(B, 1, 0))
    waiting.start()  # it is the other one's turn
    time.sleep(0.2)
    coordinator.leave(B)
    time.sleep(0.2)
    # Its last call is woken by that, and says nothing of a group that lives.
    assert coordinator._groups[B].is_away
    coordinator.end()
    waiting.join()


def test_late_deposits_of_the_past_and_the_future_are_refused(monkeypatch):
    coordinator, _ = build(monkeypatch)
    coordinator.admit(A, 1)
    coordinator.admit(A, 1)
    coordinator.deposit(A, 1, 0, "of the dead")
    coordinator.deposit(A, 2, 7, "of a store that is gone")
    assert coordinator.admit(A, 1)[2] == "start of a"


def test_the_end_comes_after_the_last_save(monkeypatch):
    coordinator, _ = build(monkeypatch, num_steps=1)
    coordinator.admit(A, 1)
    assert commit(coordinator, A, 0) == "ok"
    assert commit(coordinator, A, 1) == "deposit"
    coordinator.deposit(A, 1, 1, "last head")
    assert coordinator.take_cut().deposits[A] == "last head"
    assert commit(coordinator, A, 1) == "wait"  # it may not be saved yet
    assert not coordinator.status()["is_over"]
    coordinator.end()
    assert commit(coordinator, A, 1) == "end"
    assert coordinator.begin(A, 1, 1).status == "end"


def test_a_stop_saves_first(monkeypatch):
    coordinator, _ = build(monkeypatch)
    coordinator.admit(A, 1)
    coordinator.stop()
    cut = coordinator.take_cut()
    assert cut.steps == {A: 0, B: 0}
    coordinator.end()
    assert coordinator.status()["is_over"]


def test_a_cut_from_before_a_stop_is_not_the_last(monkeypatch):
    # A kind of fault: whether all is saved was asked of the signal, which
    # may come while an older cut is written and commits go on.
    coordinator, shards = build(monkeypatch, save_every=1, away_timeout_s=0)
    coordinator.admit(A, 1)
    assert commit(coordinator, A, 0) == "ok"
    cut = coordinator.take_cut()
    assert not cut.is_last
    assert commit(coordinator, A, 1) == "ok"
    coordinator.stop()
    last = coordinator.take_cut()
    assert last.is_last and last.steps == {A: 2, B: 0}


def test_ranks_leave_after_the_same_step(monkeypatch):
    coordinator, _ = build(monkeypatch)
    coordinator.admit(A, 2)
    assert coordinator.begin(A, 1, 0).status == "ok"
    coordinator.end()
    # The other rank is not told before the one that waits for it.
    assert coordinator.begin(A, 1, 0).status == "ok"
    for rank in (0, 1):
        assert commit(coordinator, A, 0, rank=rank) == "end"
    assert coordinator.begin(A, 1, 1).status == "end"


def test_ranks_are_told_the_same_of_a_step(monkeypatch):
    coordinator, _ = build(monkeypatch)
    coordinator.admit(A, 2)
    assert commit(coordinator, A, 0, rank=1) == "ok"
    coordinator.fail("another task's loss is not a number")
    # Kind: one leaves, and the other waits for it in their next sum.
    assert commit(coordinator, A, 0, rank=0) == "ok"
    for rank in (0, 1):
        assert commit(coordinator, A, 1, rank=rank) == "end"


def test_a_failure_is_told_to_everybody(monkeypatch):
    coordinator, _ = build(monkeypatch)
    coordinator.admit(A, 1)
    coordinator.fail("the disk is full")
    coordinator.fail("because of that")
    assert coordinator.begin(A, 1, 0).status == "end"
    assert coordinator.status()["message"] == "the disk is full"


def test_a_snapshot_is_due_where_the_cost_crosses_a_multiple(monkeypatch):
    coordinator, _ = build(
        monkeypatch,
        snapshot_every=2.0,
        seconds={A: 3600.0, B: 3600.0},
        away_timeout_s=0.3,
    )
    coordinator.admit(A, 1)
    assert commit(coordinator, A, 0) == "ok"
    assert coordinator.take_cut() is None
    assert commit(coordinator, A, 1) == "ok"
    assert commit(coordinator, A, 2) == "ok"  # meanwhile
    coordinator.deposit(A, 1, 3, np.zeros(1))
    time.sleep(0.4)  # B never comes
    cut = coordinator.take_cut()
    # Kind: what is saved later than it fell due was named by then.
    assert cut.gpu_hours == pytest.approx(3.0) and cut.steps[A] == 3


def test_reports_are_passed_on_once(monkeypatch):
    coordinator, _ = build(monkeypatch)
    record = metrics_record.MetricsRecord(A, 0, "train", {"loss": 1.0})
    coordinator.report(record, 0.1)
    assert coordinator.status()["reports"] == [(0, record, 0.1)]
    # A worker whose link was cut cannot know whether it has come.
    coordinator.report(record, 0.1)
    assert coordinator.status()["reports"] == []


def test_a_report_has_the_cost_so_far(monkeypatch):
    coordinator, _ = build(monkeypatch, seconds={A: 36.0, B: 72.0})
    for task in (A, B):
        coordinator.admit(task, 1)
    for task, step in ((A, 0), (B, 0), (B, 1)):
        assert commit(coordinator, task, step) == "ok"
    for task, hours in ((A, 0.01), (B, 0.05)):
        record = metrics_record.MetricsRecord(task, 1, "train", {"loss": 1.0})
        coordinator.report(record, 0.1)
        ((_, told, _),) = coordinator.status()["reports"]
        assert told.gpu_hours == pytest.approx(hours)


def test_a_report_has_the_step_of_its_last_commit(monkeypatch):
    # It had the step at which it came, which another group may have raised:
    # two equal runs differed.
    coordinator, _ = build(monkeypatch)
    for task in (A, B):
        coordinator.admit(task, 1)
        assert commit(coordinator, task, 0) == "ok"
    for task, step in ((A, 1), (B, 2)):
        record = metrics_record.MetricsRecord(task, 1, "train", {"loss": 1.0})
        coordinator.report(record, 0.1)
        assert coordinator.status()["reports"] == [(step, record, 0.1)]


def _weighing():
    return weighing_lib.Weighing(
        "gradnorm", {A: 1.0, B: 3.0}, {A: 1.0, B: 1.0}, every=4, least=0.2
    )


def _commit_loss(coordinator, task, step, loss):
    done = shard_lib.Commit(task, task, 1, step, 0.1, loss=loss)
    assert coordinator.commit(done, 0, (0, 1)).status == "ok"


@pytest.mark.parametrize("mode", ["hybrid", "asynchronous"])
def test_where_nobody_takes_turns_shares_scale_the_trunks_rate(
    monkeypatch, mode
):
    weighing = _weighing()
    coordinator, shards = build(monkeypatch, mode, weighing=weighing)
    for task in (A, B):
        coordinator.admit(task, 1)
    suffix = "/0" if mode == "asynchronous" else ""

    def commit_loss(task, step, loss):
        done = shard_lib.Commit(task + suffix, task, 1, step, 0.1, loss=loss)
        assert coordinator.commit(done, 0, (0, 1)).status == "ok"

    for step in range(2):
        commit_loss(A, step, 0.6)
        commit_loss(B, step, 0.4)
    assert shards.scales == [1.0] * 4
    commit_loss(A, 2, 0.6)
    commit_loss(B, 2, 0.4)
    # r = 1.2 and 0.8, to the power of 1.5, times 1 and 3.
    high, low = 1.2**1.5, 3 * 0.8**1.5
    share = high / (high + low)
    assert shards.scales[4:] == pytest.approx(
        [share / 0.25, (1 - share) / 0.75]
    )
    (update,) = coordinator.status()["updates"]
    assert update.step == 4 and update.shares[A] == pytest.approx(share)
    assert not coordinator.status()["updates"]


def test_in_turns_shares_are_those_of_one_machine(monkeypatch):
    # As many steps as one machine takes, by the same losses.
    alone, steps = _weighing(), {A: 0, B: 0}
    coordinator, shards = build(
        monkeypatch, "turns", save_every=16, weighing=_weighing()
    )
    coordinator.admit(A, 1)
    coordinator.admit(B, 1)
    for number in range(16):
        task = schedule.next_task(steps, alone.shares, alone.since)
        loss = {A: 0.9, B: 0.3}[task] + 0.01 * number
        alone.add_step(task, loss)
        assert coordinator.begin(task, 1, steps[task]).status == "ok"
        _commit_loss(coordinator, task, steps[task], loss)
        steps[task] += 1
        alone.update(steps)
    assert set(shards.scales) == {1.0}
    for task in (A, B):
        coordinator.deposit(task, 1, steps[task], task)
    # What is saved is what one machine would have saved.
    assert coordinator.take_cut().weighing == alone.dump()
