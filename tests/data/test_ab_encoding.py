"""Tests for the colour bins and the soft encoding."""

import numpy as np
import pytest
import tensorflow as tf

from mtssl_tf.data import ab_bins
from mtssl_tf.data import ab_encoding


def test_bins_are_those_of_the_release(shared_data):
    reference = np.load(
        shared_data / "reference" / "pts_in_hull_313x2_float32.npy"
    )
    np.testing.assert_array_equal(ab_bins.build_ab_bins(), reference)
    assert ab_bins.NUM_AB_BINS == 313


def test_soft_encoding_equals_a_slow_one():
    ab = np.random.default_rng(0).uniform(-60, 60, (7, 2)).astype(np.float32)
    soft = ab_encoding.soft_encode(tf.constant(ab)).numpy()
    bins = ab_bins.build_ab_bins()
    for row, color in zip(soft, ab):
        distance = np.linalg.norm(bins - color, axis=1)
        nearest = np.argsort(distance)[:5]
        weight = np.exp(-(distance[nearest] ** 2) / (2 * 5.0**2))
        expected = np.zeros(313)
        expected[nearest] = weight / weight.sum()
        np.testing.assert_allclose(row, expected, atol=1e-5)


def test_a_bin_centre_is_its_own_nearest():
    bins = ab_bins.build_ab_bins()
    soft = ab_encoding.soft_encode(tf.constant(bins)).numpy()
    np.testing.assert_array_equal(soft.argmax(-1), np.arange(313))
    np.testing.assert_allclose(soft.sum(-1), 1, rtol=1e-5)


def test_annealed_mean_of_a_sure_prediction_is_its_bin():
    logits = np.full((1, 313), -50.0, np.float32)
    logits[0, 100] = 50
    expected = ab_bins.build_ab_bins()[100:101]
    np.testing.assert_allclose(
        ab_encoding.annealed_mean(logits), expected, atol=1e-3
    )


def test_rebalancing_by_hand():
    # lambda 1/2 on two bins: mixtures 0.65 and 0.35; 1/0.65 and 1/0.35,
    # divided by the expectation 0.8 / 0.65 + 0.2 / 0.35.
    weights = ab_encoding.rebalancing_weights(np.array([0.8, 0.2]), 0.5)
    expectation = 0.8 / 0.65 + 0.2 / 0.35
    expected = [1 / 0.65 / expectation, 1 / 0.35 / expectation]
    np.testing.assert_allclose(weights, expected, rtol=1e-6)


@pytest.mark.parametrize("share", [0.1, 0.5, 1.0])
def test_weights_have_expectation_one(share):
    prior = np.random.default_rng(1).dirichlet(np.ones(313))
    weights = ab_encoding.rebalancing_weights(prior, share)
    assert np.sum(prior * weights) == pytest.approx(1, abs=1e-5)
    if share == 1.0:
        np.testing.assert_allclose(weights, 1, rtol=1e-5)
