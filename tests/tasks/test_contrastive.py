"""Tests for the contrastive task."""

import dataclasses
import math

import numpy as np
import pytest
import tensorflow as tf

from mtssl_tf.tasks import contrastive


def _task(**changes):
    config = contrastive.Contrastive.presets["tiny"]
    return contrastive.Contrastive(dataclasses.replace(config, **changes))


def _unit_vectors(shape, seed=0):
    vectors = np.random.default_rng(seed).normal(size=shape)
    vectors /= np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors.astype(np.float32)


def test_loss_by_hand():
    # Two pictures in the plane, tau = 1: cosines of the first picture's first
    # view are 1 with its own, 0 and -1 with the other's.
    embeddings = tf.constant([[[1.0, 0], [1, 0]], [[0, 1], [-1, 0]]])
    e = math.e
    first = -math.log(e / (e + 1 + 1 / e))  # both of its views
    second = np.mean(
        [
            -math.log(1 / (1 + 1 + 1)),  # (0, 1): 0 with all three
            -math.log(1 / (1 + 1 / e + 1 / e)),  # (-1, 0)
        ]
    )
    loss = _task(temperature=1.0).loss(embeddings, tf.zeros(2))
    np.testing.assert_allclose(loss, [first, second], rtol=1e-5)


@pytest.mark.parametrize("patches", [1, 3])
def test_loss_equals_a_loop_over_views(patches):
    embeddings = _unit_vectors((6, 2, 5))
    task = _task(batch_size=6, patches_per_picture=patches, temperature=0.2)
    expected = []
    for i in range(6):
        losses = []
        for v in range(2):
            anchor = embeddings[i, v].astype(np.float64)
            positive = math.exp(anchor @ embeddings[i, 1 - v] / 0.2)
            negatives = [
                math.exp(anchor @ embeddings[j, w] / 0.2)
                for j in range(6)
                for w in range(2)
                if j // patches != i // patches
            ]
            losses.append(-math.log(positive / (positive + sum(negatives))))
        expected.append(np.mean(losses))
    loss = task.loss(tf.constant(embeddings), tf.zeros(6))
    np.testing.assert_allclose(loss, expected, rtol=1e-4)


def test_loss_equals_that_of_softmax_over_the_whole_batch():
    # As the authors' code has it: logits of all views but oneself.
    embeddings = _unit_vectors((5, 2, 8))
    flat = np.concatenate([embeddings[:, 0], embeddings[:, 1]])
    logits = flat @ flat.T / 0.1
    np.fill_diagonal(logits, -1e9)
    target = np.concatenate([np.arange(5, 10), np.arange(5)])
    whole = tf.keras.losses.sparse_categorical_crossentropy(
        target, logits, from_logits=True
    ).numpy()
    expected = (whole[:5] + whole[5:]) / 2
    loss = _task(batch_size=5).loss(tf.constant(embeddings), tf.zeros(5))
    np.testing.assert_allclose(loss, expected, rtol=1e-4)


@pytest.mark.parametrize("patches", [1, 2])
def test_collapse_is_chance(patches):
    task = _task(batch_size=4, patches_per_picture=patches)
    embeddings = tf.ones([4, 2, 3]) / math.sqrt(3)
    loss = task.loss(embeddings, tf.zeros(4))
    np.testing.assert_allclose(loss, task.chance()["loss"], rtol=1e-5)
    metrics = task.metrics(embeddings, tf.zeros(4))
    np.testing.assert_allclose(metrics["pairs_right"], 0.5)
    means = {name: float(np.mean(each)) for name, each in metrics.items()}
    assert task.has_collapsed(means)


def test_metrics_by_hand():
    embeddings = tf.constant([[[1.0, 0], [1, 0]], [[0, 1], [-1, 0]]])
    metrics = _task().metrics(embeddings, tf.zeros(2))
    np.testing.assert_allclose(metrics["positive_cosine"], [1, 0])
    # Each first view with the other picture's second one.
    np.testing.assert_allclose(metrics["negative_cosine"], [-1, 0])
    np.testing.assert_allclose(metrics["pairs_right"], [1, 0.5])
    assert not _task().has_collapsed({"negative_cosine": -0.5})
