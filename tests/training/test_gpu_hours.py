"""What steps cost, and the steps that a cost buys."""

import pytest

from mtssl_tf.training import gpu_hours
from mtssl_tf.training import schedule

_PRICES = gpu_hours.GpuHours({"a": 36.0, "b": 72.0})  # 0.01 and 0.02 hours


def test_the_sum_over_tasks_by_hand():
    assert _PRICES.of({"a": 3, "b": 2}) == pytest.approx(0.07)


def test_a_multiple_is_passed_by_the_step_that_reaches_it():
    def crosses(before, after):
        return _PRICES.crosses({"a": before}, {"a": after}, 0.1)

    assert not crosses(8, 9)
    assert crosses(9, 10)
    assert not crosses(10, 11)
    assert crosses(10, 35)  # three at once are one snapshot


def test_rounding_takes_no_multiple_away():
    assert 2.4 // 0.8 == 2  # as floats have it
    assert gpu_hours.num_passed(2.4, 0.8) == 3


def test_steps_for_a_cost_by_hand():
    # Two of a, then one of b, and so on: a a b, 0.04 hours each round.
    weights = {"a": 2.0, "b": 1.0}
    turns = []
    for number in range(1, 7):
        before = schedule.steps_after(number - 1, weights)
        after = schedule.steps_after(number, weights)
        (task,) = (name for name in weights if after[name] > before[name])
        turns.append(task)
    assert turns == ["a", "a", "b", "a", "a", "b"]
    # Costs after each step: 1, 2, 4, 5, 6, 8 hundredths.
    for hours, steps in (
        (0.001, 1),
        (0.01, 1),
        (0.02, 2),
        (0.021, 3),
        (0.04, 3),
        (0.06, 5),
        (0.07, 6),
        (0.08, 6),
        (4.0, 300),
    ):
        assert _PRICES.steps_for(hours, weights) == steps, hours


@pytest.mark.parametrize(
    "weights",
    [
        {"a": 1.0},
        {"a": 1.0, "b": 1.0, "c": 1.0},
        {"a": 2.0, "b": 0.5, "c": 12.0, "d": 4.0},
        {"a": 0.1, "b": 0.2, "c": 0.3},
        {"a": 1.0, "b": 1000.0},
    ],
)
def test_shares_of_steps_are_those_of_taking_turns(weights):
    steps = dict.fromkeys(weights, 0)
    for number in range(400):
        assert schedule.steps_after(number, weights) == steps
        steps[schedule.next_task(steps, weights)] += 1
