"""A run's dynamic weights: when shares move, turns by them, what is kept."""

import collections

import pytest

from mtssl_tf import weighting
from mtssl_tf.training import schedule
from mtssl_tf.weighting import weighing as weighing_lib

_CHANCES = {"a": 2.0, "b": 1.0, "c": 0.5}


def _weighing(name="uncertainty", every=10, least=0.1, **weights):
    weights = {"a": 1.0, "b": 1.0, "c": 1.0} | weights
    return weighing_lib.Weighing(name, weights, _CHANCES, every, least)


def _loss(task, count):
    """A loss that falls, faster for some, and never evenly."""
    falls = {"a": 0.002, "b": 0.02, "c": 0.01}
    wave = 0.05 * ((count * 7919) % 13 - 6) / 6
    return _CHANCES[task] * max(0.05, 1 - falls[task] * count + wave)


def _go_on(weighing, steps, num_steps):
    """Takes steps in turn; returns them and the updates."""
    turns, updates = [], []
    for _ in range(num_steps):
        task = schedule.next_task(steps, weighing.shares, weighing.since)
        cosine = None
        if weighing_lib.is_measured(steps[task]):
            cosine = 0.1 * sum(steps.values()) % 1
        weighing.add_step(task, _loss(task, steps[task]), cosine)
        steps[task] += 1
        turns.append(task)
        update = weighing.update(steps)
        updates += [update] if update else []
    return turns, updates


def test_losses_are_in_parts_of_a_blind_guesss():
    weighing = _weighing(every=3)
    for task, loss in {"a": 1.0, "b": 0.25, "c": 0.25}.items():
        weighing.add_step(task, loss)
    update = weighing.update({"a": 1, "b": 1, "c": 1})
    # 0.5, 0.25 and 0.5 of chance; shares follow 1 over that.
    assert update.step == 3
    assert update.shares == pytest.approx({"a": 0.25, "b": 0.5, "c": 0.25})
    assert weighing.scale("b") == pytest.approx(1.5)
    assert not update.alarms


def test_until_the_first_update_turns_are_those_of_fixed_weights():
    weighing = _weighing(every=10, b=2.0)
    steps = dict.fromkeys("abc", 0)
    turns, (update,) = _go_on(weighing, steps, 10)
    fixed, counts = [], dict.fromkeys("abc", 0)
    for _ in range(10):
        fixed.append(schedule.next_task(counts, {"a": 1.0, "b": 2.0, "c": 1.0}))
        counts[fixed[-1]] += 1
    assert turns == fixed and update.step == 10


def test_a_share_of_less_than_one_step_an_update_is_still_a_share():
    # Counted anew at each update, a task of 3.3 % would never come within
    # ten steps.
    weighing = _weighing("gradnorm", every=10, least=0.1)
    steps = dict.fromkeys("abc", 0)
    counts = collections.Counter()
    for _ in range(100):
        for _ in range(10):
            task = schedule.next_task(steps, weighing.shares, weighing.since)
            weighing.add_step(task, {"a": 20.0, "b": 0.01, "c": 0.01}[task])
            steps[task] += 1
            counts[task] += 1
        weighing.update(steps)
    assert weighing.shares["b"] == pytest.approx(0.1 / 3)
    # A thousand steps, a thirtieth each; the first ten were even.
    assert counts["b"] == pytest.approx(1000 / 30, abs=4)
    assert counts["c"] == pytest.approx(1000 / 30, abs=4)


def test_who_comes_to_the_least_share_is_said_once_while_it_lasts():
    weighing = _weighing("gradnorm", every=3, least=0.5)
    steps = dict.fromkeys("abc", 0)
    said = []
    for round_ in range(9):
        low = 0.001 if round_ not in (3, 4) else 50.0
        for task in "abc":
            weighing.add_step(task, {"a": 2.0, "b": 1.0}.get(task, low))
            steps[task] += 1
        said.append(weighing.update(steps).alarms)
    # Said at first; again once the average has come down from the high two.
    assert said[0].keys() == {"c"} and not said[1] and not said[2]
    message = said[0]["c"]
    for part in ("--weighting=gradnorm", "16.7%", "c.weight", "least_share"):
        assert part in message
    assert "\n" not in message
    assert sum("c" in each for each in said) == 1


@pytest.mark.parametrize("name", weighting.RULES)
@pytest.mark.parametrize("num_before", [37, 40, 41])
def test_who_goes_on_from_a_dump_does_the_same(name, num_before):
    whole, steps = _weighing(name), dict.fromkeys("abc", 0)
    expected = _go_on(whole, steps, 120)
    first, steps = _weighing(name), dict.fromkeys("abc", 0)
    before = _go_on(first, steps, num_before)
    second = _weighing(name)
    second.load(first.dump())
    after = _go_on(second, steps, 120 - num_before)
    assert before[0] + after[0] == expected[0]
    assert before[1] + after[1] == expected[1]
    assert second.dump() == whole.dump()


@pytest.mark.parametrize("name", weighting.RULES)
def test_every_rule_moves_shares(name):
    _, updates = _go_on(_weighing(name), dict.fromkeys("abc", 0), 300)
    last = updates[-1].shares
    assert sum(last.values()) == pytest.approx(1)
    assert max(last.values()) - min(last.values()) > 0.01
    assert updates[-1].figures.keys() == set("abc")


def test_a_blind_guess_that_is_always_right_does_no_harm():
    # As of colours, where all pictures are grey.
    weighing = weighing_lib.Weighing(
        "uncertainty", {"a": 1.0, "b": 1.0}, {"a": 0.0, "b": 1.0}, 2, 0.2
    )
    weighing.add_step("a", 0.0)
    weighing.add_step("b", 0.5)
    update = weighing.update({"a": 1, "b": 1})
    assert update.shares == pytest.approx({"a": 0.9, "b": 0.1})
    assert update.alarms.keys() == {"b"}
