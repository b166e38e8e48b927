"""Random numbers that follow from each example's own seed."""

import numpy as np
import pytest
from scipy import stats
import tensorflow as tf

from mtssl_tf.data import order
from mtssl_tf.data import seeded


def _seeds(number):
    # As in training: those of neighbours in the order.
    return tf.stack([order.example_seed(n, 0) for n in range(number)])


def test_numbers_do_not_depend_on_the_batch():
    seeds = _seeds(6)
    for draw in (seeded.uniform, seeded.normal):
        whole = draw(seeds, 0, (5, 3)).numpy()
        np.testing.assert_array_equal(whole[2:4], draw(seeds[2:4], 0, (5, 3)))
        other = draw(seeds, 1, (5, 3)).numpy()
        assert not np.isin(whole, other).any()


def test_uniform_numbers_are_uniform():
    values = seeded.uniform(_seeds(4), 7, (50_000,)).numpy()
    assert values.dtype == np.float32
    assert values.min() >= 0 and values.max() < 1
    for row in values:
        assert stats.kstest(row, "uniform").pvalue > 1e-3


def test_normal_numbers_are_normal():
    values = seeded.normal(_seeds(4), 7, (50_000,)).numpy()
    for row in values:
        assert stats.kstest(row, "norm").pvalue > 1e-3


@pytest.mark.parametrize("draw", [seeded.uniform, seeded.normal])
def test_examples_places_and_streams_are_independent(draw):
    # Counting seeds too: a hash of too few steps would show them.
    count = 20_000
    limit = 5 / np.sqrt(count)
    counted = tf.constant([[0, n] for n in range(8)] + [[n, 0] for n in (1, 2)])
    for seeds in (_seeds(10), counted):
        values = draw(seeds, 0, (count,)).numpy()
        values = np.concatenate([values, draw(seeds, 1, (count,)).numpy()])
        correlation = np.corrcoef(values) - np.eye(len(values))
        assert np.abs(correlation).max() < limit
        for row in values:
            for lag in (1, 2, 48, 96):
                found = np.corrcoef(row[:-lag], row[lag:])[0, 1]
                assert abs(found) < limit
