"""Who may commit when, and who belongs to the run."""

import dataclasses

import numpy as np
import pytest

from mtssl_tf import config as config_lib
from mtssl_tf import version
from mtssl_tf.distribute import cluster as cluster_lib
from mtssl_tf.distribute import coordinator as coordinator_lib
from mtssl_tf.distribute import roster as roster_lib
from mtssl_tf.distribute import trunk_store
from mtssl_tf.training import schedule

COLOR, EXEMPLAR = "colorization", "exemplar"


@pytest.fixture
def config():
    config = config_lib.preset_config("tiny", [COLOR, EXEMPLAR])
    return dataclasses.replace(
        config, train=dataclasses.replace(config.train, save_every=10)
    )


def build_cluster(**settings):
    return cluster_lib.Cluster(
        {COLOR: ["h:1", "h:2"], EXEMPLAR: ["h:3"]}, ["h:4"], "s", **settings
    )


def build_coordinator(config, num_steps=100, **settings):
    coordinator = coordinator_lib.Coordinator(
        build_cluster(**settings), config, num_steps
    )
    coordinator.start_at(
        {COLOR: 0, EXEMPLAR: 0},
        {COLOR: (0, np.zeros(1)), EXEMPLAR: (0, np.zeros(1))},
    )
    return coordinator


def hand_in(coordinator, task, value=1.0):
    data = np.full(4, value)
    step = coordinator.steps[task]
    coordinator.deposit(task, step, 0, 2, data[:3])
    coordinator.deposit(task, step, 1, 2, data[3:])


def test_a_checkpoint_is_a_cut_through_the_whole_run(config):
    coordinator = build_coordinator(config)
    coordinator.count({COLOR: 6, EXEMPLAR: 3})
    assert coordinator.may_go_on(COLOR) is None
    coordinator.count({COLOR: 7, EXEMPLAR: 3})
    assert coordinator.may_go_on(COLOR) == {"status": "deposit", "step": 7}
    hand_in(coordinator, COLOR)
    assert coordinator.may_go_on(COLOR)["status"] == trunk_store.WAITING
    assert coordinator.deposits_to_save() is None
    hand_in(coordinator, EXEMPLAR, 2.0)
    deposits = coordinator.deposits_to_save()
    np.testing.assert_array_equal(deposits[EXEMPLAR], np.full(4, 2.0))
    coordinator.release()
    assert coordinator.may_go_on(COLOR) is None
    assert not coordinator.is_over


def test_a_group_that_is_away_holds_the_others_up_for_so_long(config):
    coordinator = build_coordinator(config, store_timeout_s=1e-3)
    coordinator.count({COLOR: 7, EXEMPLAR: 3})
    hand_in(coordinator, COLOR)
    while coordinator.deposits_to_save() is None:
        pass
    assert len(coordinator.deposits_to_save()[EXEMPLAR]) == 1  # The last one.


def test_a_deposit_of_the_past_is_left_aside(config):
    coordinator = build_coordinator(config)
    coordinator.count({COLOR: 5, EXEMPLAR: 0})
    hand_in(coordinator, COLOR, 5.0)
    coordinator.deposit(COLOR, 4, 0, 1, np.full(4, 4.0))
    step, vector = coordinator.deposited(COLOR)
    assert step == 5
    np.testing.assert_array_equal(vector, np.full(4, 5.0))


def test_a_deposit_from_steps_that_the_store_has_lost_is_left_aside(config):
    coordinator = build_coordinator(config)
    coordinator.count({COLOR: 5, EXEMPLAR: 0})
    coordinator.deposit(COLOR, 50, 0, 1, np.full(4, 50.0))
    assert coordinator.deposited(COLOR)[0] == 0
    hand_in(coordinator, COLOR, 5.0)
    assert coordinator.deposited(COLOR)[0] == 5


def test_parts_of_two_deposits_are_never_joined(config):
    coordinator = build_coordinator(config)
    coordinator.count({COLOR: 5, EXEMPLAR: 0})
    coordinator.deposit(COLOR, 5, 0, 2, np.full(3, 5.0))
    coordinator.deposit(COLOR, 4, 1, 2, np.full(1, 4.0))  # Sent long ago.
    assert coordinator.deposited(COLOR)[0] == 0
    hand_in(coordinator, COLOR, 5.0)
    step, vector = coordinator.deposited(COLOR)
    assert step == 5
    np.testing.assert_array_equal(vector, np.full(4, 5.0))


def test_a_group_that_has_ended_holds_nobody_up(config):
    coordinator = build_coordinator(config)
    coordinator.count({COLOR: 7, EXEMPLAR: 3})
    hand_in(coordinator, COLOR)
    assert coordinator.deposits_to_save() is None
    coordinator.roster.leave(f"{EXEMPLAR}/0")
    assert set(coordinator.deposits_to_save()) == {COLOR, EXEMPLAR}


def test_the_run_ends_after_its_last_step_is_saved(config):
    coordinator = build_coordinator(config, num_steps=8)
    coordinator.count({COLOR: 5, EXEMPLAR: 3})
    for task in (COLOR, EXEMPLAR):
        assert coordinator.may_go_on(task)["status"] == "deposit"
        hand_in(coordinator, task)
    assert coordinator.deposits_to_save() is not None
    coordinator.release()
    reply = coordinator.may_go_on(COLOR)
    assert reply == {"status": "end", "message": ""}


def test_a_failure_is_told_to_all(config):
    coordinator = build_coordinator(config)
    coordinator.fail("the disk is full")
    coordinator.fail("something that followed from it")
    assert coordinator.is_over
    assert coordinator.may_go_on(COLOR)["message"] == "the disk is full"


def test_turns_are_those_of_one_machine(config):
    coordinator = build_coordinator(config, mode="turns")
    steps = {COLOR: 0, EXEMPLAR: 0}
    weights = {name: task.weight for name, task in config.tasks.items()}
    for _ in range(6):
        expected = schedule.next_task(steps, weights)
        may = [t for t in steps if coordinator.is_turn_of(t) is None]
        assert may == [expected]
        steps[expected] += 1
        coordinator.count(steps)


def test_a_turn_that_one_worker_was_given_is_given_to_the_others(config):
    coordinator = build_coordinator(config, mode="turns")
    assert coordinator.is_turn_of(COLOR) is None
    coordinator.stop()
    assert coordinator.is_turn_of(COLOR) is None
    assert coordinator.is_turn_of(EXEMPLAR)["status"] == trunk_store.WAITING


def say_hello(roster, config, role, process, **changes):
    return roster.hello(
        {
            "role": role,
            "process": process,
            "version": version.VERSION,
            "config": config_lib.to_json(config),
            "cluster": dataclasses.asdict(build_cluster()),
            **changes,
        }
    )


def test_a_group_starts_when_all_are_there(config):
    roster = roster_lib.Roster(build_cluster(), config)
    first = say_hello(roster, config, f"{COLOR}/0", "p0")
    assert first == {"status": "gathering", "missing": [f"{COLOR}/1"]}
    last = say_hello(roster, config, f"{COLOR}/1", "p1")
    again = say_hello(roster, config, f"{COLOR}/0", "p0")
    assert last["status"] == again["status"] == "go"
    assert last["generation"] == again["generation"]
    # Both restart: a later generation.
    say_hello(roster, config, f"{COLOR}/0", "p2")
    restarted = say_hello(roster, config, f"{COLOR}/1", "p3")
    assert restarted["generation"] > last["generation"]


def test_the_end_waits_for_everybody_or_for_who_is_at_work(config):
    # A store that has restarted knows nobody, yet may be looked for.
    roster = roster_lib.Roster(build_cluster(), config)
    assert not roster.all_left()
    assert roster.all_at_work_left()
    roster.note_at_work(EXEMPLAR)
    assert not roster.all_at_work_left()
    roster.leave(f"{EXEMPLAR}/0")
    assert roster.all_at_work_left()
    assert roster.has_left(EXEMPLAR) and not roster.has_left(COLOR)
    for index in (0, 1):
        roster.leave(f"{COLOR}/{index}")
    assert roster.all_left()
    say_hello(roster, config, f"{COLOR}/0", "again")
    assert not roster.all_left()


def test_a_role_that_is_started_twice_is_refused(config):
    roster = roster_lib.Roster(build_cluster(), config)
    for process in ("one", "two", "one"):
        reply = say_hello(roster, config, f"{COLOR}/0", process)
        # So far it may be the last word of a process that has died.
        assert reply["status"] == "gathering"
    say_hello(roster, config, f"{COLOR}/0", "two")
    reply = say_hello(roster, config, f"{COLOR}/0", "one")
    assert reply["status"] == "refused"
    assert "one" in reply["message"] and "two" in reply["message"]


def test_what_differs_between_roles_is_named(config):
    roster = roster_lib.Roster(build_cluster(), config)
    other = config_lib.override(config, "exemplar.batch_size=64")
    reply = say_hello(roster, other, f"{COLOR}/0", "p")
    assert reply["status"] == "refused"
    assert "exemplar.batch_size: 32 -> 64" in reply["message"]
    reply = say_hello(roster, config, f"{COLOR}/0", "p", version="9.9")
    assert "9.9" in reply["message"] and version.VERSION in reply["message"]
    cluster = dataclasses.asdict(build_cluster(mode="synchronous"))
    reply = say_hello(roster, config, f"{COLOR}/0", "p", cluster=cluster)
    assert "synchronous" in reply["message"]
