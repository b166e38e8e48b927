"""Tests for VICReg."""

import dataclasses
import math

import numpy as np
import pytest
import tensorflow as tf

from mtssl_tf.tasks import vicreg


def _task(**changes):
    config = vicreg.VICReg.presets["tiny"]
    return vicreg.VICReg(dataclasses.replace(config, **changes))


def test_loss_by_hand():
    # Three pictures, two values; deviations of the first views 1 and 2, of
    # the second 0 and 1/2, and the values of the first go together.
    first = np.float32([[-1, -2], [0, 0], [1, 2]])
    second = np.float32([[3, 0.5], [3, -0.5], [3, 0]])
    embeddings = tf.constant(np.stack([first, second], 1))
    epsilon = 1e-4
    # 1 and 4 are above the margin, epsilon and all.
    hinges = [0, 0, 1 - math.sqrt(epsilon), 1 - math.sqrt(0.25 + epsilon)]
    variance = np.mean(hinges)
    # Covariance of the first: (2 + 0 + 2) / 2 = 2, twice off the diagonal.
    covariance = (2**2 + 2**2) / 2
    invariance = [(16 + 6.25) / 2, (9 + 0.25) / 2, (4 + 4) / 2]
    expected = 25 * np.array(invariance) + 25 * variance + covariance
    loss = _task().loss(embeddings, tf.zeros(3))
    np.testing.assert_allclose(loss, expected, rtol=1e-5)
    metrics = _task().metrics(embeddings, tf.zeros(3))
    np.testing.assert_allclose(metrics["invariance"], invariance, rtol=1e-5)
    np.testing.assert_allclose(metrics["covariance"], [4, 4, 4], rtol=1e-5)


def test_the_mean_over_a_batch_is_that_of_the_authors_code():
    random = np.random.default_rng(0)
    x, y = random.normal(0, 0.7, (2, 7, 5)).astype(np.float32)

    def off_diagonal(of):
        covariance = np.cov(of.T)
        return (covariance**2).sum() - (np.diag(covariance) ** 2).sum()

    invariance = ((x - y) ** 2).mean()
    variance = sum(
        np.maximum(0, 1 - np.sqrt(each.var(axis=0, ddof=1) + 1e-4)).mean() / 2
        for each in (x, y)
    )
    covariance = (off_diagonal(x) + off_diagonal(y)) / 5
    loss = _task().loss(tf.constant(np.stack([x, y], 1)), tf.zeros(7))
    assert float(np.mean(loss)) == pytest.approx(
        25 * invariance + 25 * variance + covariance, rel=1e-4
    )


def test_the_loss_does_not_care_where_the_embeddings_lie():
    random = np.random.default_rng(0)
    embeddings = random.normal(size=(4, 2, 3)).astype(np.float32)
    moved = embeddings + np.float32([3, -2, 5])
    np.testing.assert_allclose(
        _task().loss(tf.constant(embeddings), tf.zeros(4)),
        _task().loss(tf.constant(moved), tf.zeros(4)),
        rtol=1e-4,
    )


def test_collapse_is_chance():
    embeddings = tf.ones([4, 2, 3]) * 0.3
    task = _task()
    loss = task.loss(embeddings, tf.zeros(4))
    np.testing.assert_allclose(loss, task.chance()["loss"], rtol=1e-4)
    metrics = task.metrics(embeddings, tf.zeros(4))
    np.testing.assert_allclose(metrics["pairs_right"], 0.5)
    means = {name: float(np.mean(each)) for name, each in metrics.items()}
    assert task.has_collapsed(means)
    means["deviation"] = 0.8
    assert not task.has_collapsed(means)


def test_the_gradient_of_a_collapse_is_finite():
    # The root's slope at 0 is not.
    embeddings = tf.Variable(tf.ones([4, 2, 3]))
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(_task().loss(embeddings, tf.zeros(4)))
    assert np.isfinite(tape.gradient(loss, embeddings)).all()


def test_pairs_right_is_by_distance():
    # The second picture's second view lies nearest to the first's first.
    embeddings = tf.constant(
        [[[0.0, 0], [0, 3]], [[5, 5], [0, 1]], [[9, 0], [9, 1]]], tf.float32
    )
    right = _task().metrics(embeddings, tf.zeros(3))["pairs_right"]
    # First: own at 3, others at 1 and 9.1. Second: own at 6.4, others at 5.4
    # and 5.7. Third: own at 1, the nearest.
    np.testing.assert_allclose(right, [0.5, 0, 1])
