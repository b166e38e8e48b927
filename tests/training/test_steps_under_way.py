"""Steps under way: what is fetched when, and which one was not finite."""

import numpy as np
import tensorflow as tf

from mtssl_tf.training import step as step_lib
from mtssl_tf.training import steps_under_way


def _started(step, task, numbers, is_finite=True):
    outcome = step_lib.Outcome(
        tf.constant(numbers, tf.float32), tf.constant(is_finite), []
    )
    return steps_under_way.Started(step, task, {"views": step}, outcome)


def test_numbers_come_in_order_and_once():
    under_way = steps_under_way.StepsUnderWay()
    assert under_way.fetch() == []
    added = [
        (0, "a", [1.0, 2.0]),
        (1, "b", [3.0, np.inf, 5.0]),
        (2, "a", [6.0, 7.0]),
    ]
    for each in added:
        assert under_way.add(_started(*each)) is None
    assert under_way.find_bad() is None
    fetched = under_way.fetch()
    assert [(f.step, f.task, f.numbers) for f in fetched] == added
    assert under_way.fetch() == []


def test_the_bad_step_is_known_when_the_next_one_was_started():
    under_way = steps_under_way.StepsUnderWay()
    assert under_way.add(_started(0, "a", [1.0])) is None
    assert under_way.add(_started(1, "b", [np.nan], is_finite=False)) is None
    bad = under_way.add(_started(2, "a", [1.0]))
    assert (bad.step, bad.task, bad.batch) == (1, "b", {"views": 1})


def test_of_the_last_step_one_may_ask():
    under_way = steps_under_way.StepsUnderWay()
    assert under_way.find_bad() is None
    under_way.add(_started(4, "a", [np.nan], is_finite=False))
    assert under_way.find_bad().step == 4
