"""How many steps fit into hours: fixed once, and kept."""

import pytest

from mtssl_tf.training import time_budget


class _Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


def _taken(budget, clock, num_steps, seconds):
    """Takes steps of two tasks in turn; returns when the pace was known."""
    for number in range(1, num_steps + 1):
        clock.now += seconds if number > 4 else 30.0  # built, the first ones
        if budget.after_step({"a": (number + 1) // 2, "b": number // 2}):
            return number
    return None


def test_steps_decide_without_hours(tmp_path):
    clock = _Clock()
    budget = time_budget.TimeBudget(tmp_path, 7, 0.0, clock)
    assert budget.num_steps == 7
    assert _taken(budget, clock, 100, 1.0) is None
    assert not list(tmp_path.iterdir())


def test_what_is_built_first_does_not_count(tmp_path):
    clock = _Clock()
    budget = time_budget.TimeBudget(tmp_path, 7, 0.25, clock)  # 900 s
    assert budget.num_steps is None
    # From the fourth on, 50 steps of half a second: over 18 s.
    assert _taken(budget, clock, 100, 0.5) == 54
    assert budget.num_steps == 1800


def test_slow_starts_are_timed_for_a_share_of_the_hours(tmp_path):
    clock = _Clock()
    budget = time_budget.TimeBudget(tmp_path, 7, 1.0, clock)
    assert _taken(budget, clock, 1000, 0.125) == 4 + 576  # 72 of 3600 s


def test_a_later_start_has_the_same_number(tmp_path):
    clock = _Clock()
    _taken(time_budget.TimeBudget(tmp_path, 7, 0.25, clock), clock, 100, 0.5)
    again = time_budget.TimeBudget(tmp_path, 7, 0.25, clock)
    assert again.num_steps == 1800
    assert time_budget.TimeBudget(tmp_path, 7, 0.5, clock).num_steps == 3600


@pytest.mark.parametrize("pace", ["", "null", '"1"', "true", "0", "1e-320"])
def test_a_damaged_pace_is_named_with_what_to_do(tmp_path, pace):
    path = tmp_path / time_budget.PACE_FILE
    path.write_text('{"seconds_per_step": %s}' % pace if pace else "{}")
    with pytest.raises(ValueError, match="pace.json has seconds.* Remove it"):
        time_budget.TimeBudget(tmp_path, 7, 0.25)
