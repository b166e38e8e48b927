"""Tests for the order of examples."""

import numpy as np
import pytest
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


def test_many_positions_at_once_have_the_order_of_one_by_one():
    for number in (1, 7, 100):
        positions = tf.range(30, dtype=tf.int64)
        together = order.example_index(positions, number, 3).numpy()
        assert together.tolist() == _indices(number, range(30), 3)


def test_the_order_is_that_of_tensorflows_own_function():
    # Runs that began with it go on in it.
    shuffle = tf.random.experimental.index_shuffle
    for position in range(20):
        assert _indices(7, [position], 3)[0] == int(
            shuffle(position % 7, [3, position // 7], 6)
        )


@pytest.mark.parametrize("num_examples", [1, 5, 300])
def test_looking_up_finds_the_same(num_examples):
    positions = [0, 1, 255, 256, 257, 1000, 2**40]
    look_up = order.lookup(num_examples, seed=3)
    expected = [
        int(order.example_index(tf.constant(p, tf.int64), num_examples, 3))
        for p in positions
    ]
    assert [look_up(position) for position in positions] == expected
