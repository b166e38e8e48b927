"""Tests for whose turn it is."""

from mtssl_tf.training import schedule


def _turns(weights, num_steps):
    steps = {name: 0 for name in weights}
    turns = []
    for _ in range(num_steps):
        name = schedule.next_task(steps, weights)
        steps[name] += 1
        turns.append(name)
    return turns


def test_equal_weights_take_turns():
    assert _turns({"a": 1.0, "b": 1.0, "c": 1.0}, 6) == list("abcabc")


def test_a_heavier_task_comes_more_often():
    turns = _turns({"a": 3.0, "b": 1.0}, 40)
    assert turns.count("a") == 30
    # Never long without the other one.
    assert "aaaa" not in "".join(turns)
