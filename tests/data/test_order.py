"""Tests for the order of examples."""

import numpy as np
import tensorflow as tf

from mtssl_tf.data import order


def _indices(num_examples, positions, seed):
    function = tf.function(order.example_index)
    return [
        int(function(tf.constant(p, tf.int64), num_examples, seed))
        for p in positions
    ]


def test_every_epoch_is_another_permutation():
    first = _indices(17, range(17), seed=3)
    second = _indices(17, range(17, 34), seed=3)
    assert sorted(first) == sorted(second) == list(range(17))
    assert first != second
    assert first != list(range(17))


def test_the_seed_decides():
    assert _indices(50, range(50), 1) == _indices(50, range(50), 1)
    assert _indices(50, range(50), 1) != _indices(50, range(50), 2)


def test_one_example_is_always_itself():
    assert _indices(1, range(5), seed=0) == [0] * 5


def test_seeds_of_positions_differ():
    seeds = {
        tuple(np.asarray(order.example_seed(tf.constant(p, tf.int64), 0)))
        for p in range(100)
    }
    assert len(seeds) == 100
