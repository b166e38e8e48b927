"""Tests for exemplar and its distortions."""

import dataclasses
import math

import numpy as np
import pytest
import tensorflow as tf

from mtssl_tf.data import distort
from mtssl_tf.tasks import exemplar


def _unit_vectors(shape, seed=0):
    vectors = np.random.default_rng(seed).normal(size=shape)
    vectors /= np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors.astype(np.float32)


def _task(**changes):
    config = exemplar.Exemplar.presets["tiny"]
    return exemplar.Exemplar(dataclasses.replace(config, **changes))


def test_loss_equals_a_loop_over_triplets():
    embeddings = _unit_vectors((5, 2, 3))
    expected = []
    for i in range(5):
        anchor, positive = embeddings[i]
        hinges = []
        for j in set(range(5)) - {i}:
            for negative in embeddings[j]:
                near = 1 - anchor @ positive
                far = 1 - anchor @ negative
                hinges.append(max(near - far + 0.5, 0))
        active = [h for h in hinges if h > 0]
        expected.append(np.mean(active) if active else 0.0)
    loss = _task().loss(tf.constant(embeddings), tf.zeros(5))
    np.testing.assert_allclose(loss, expected, rtol=1e-5)


def test_the_papers_triplet_equals_a_loop():
    task = _task(negatives="random")
    embeddings = _unit_vectors((4, 2, 3))
    # Of the six views of other pictures, counted from the next picture on.
    share = np.array([0.0, 0.2, 0.7, 0.99], np.float32)
    others = [(1, 0), (2, 1), (0, 0), (2, 1)]
    expected = []
    for (anchor, positive), (picture, view) in zip(embeddings, others):
        near = 1 - anchor @ positive
        far = 1 - anchor @ embeddings[picture, view]
        expected.append(max(near - far + 0.5, 0))
    loss = task.loss(tf.constant(embeddings), tf.constant(share))
    np.testing.assert_allclose(loss, expected, rtol=1e-5)


@pytest.mark.parametrize("patches", [1, 4, 32])
def test_the_papers_third_patch_is_any_view_of_another_picture(patches):
    batch = {
        "views": tf.zeros([64, 2, 8, 8, 3], tf.uint8),
        "target": tf.zeros([64], tf.int32),
        "seed": tf.reshape(tf.range(128), [64, 2]),
    }
    share = _task().color(batch)["target"]
    third = exemplar._third_patch(share, patches).numpy()
    assert np.all(third.sum(axis=(1, 2)) == 1)
    picture = np.arange(64) // patches
    assert not third[picture[:, None] == picture].any()
    assert len({tuple(np.argwhere(row)[0]) for row in third}) > 32


def test_negatives_are_of_other_pictures_alone():
    # Three patches of each of two pictures, beside each other.
    task = _task(batch_size=6, patches_per_picture=3)
    embeddings = _unit_vectors((6, 2, 4))
    losses, cosines = [], []
    for i, (anchor, positive) in enumerate(embeddings):
        others = [j for j in range(6) if j // 3 != i // 3]
        negatives = embeddings[others].reshape(-1, 4) @ anchor
        hinges = np.maximum(0.5 - anchor @ positive + negatives, 0)
        losses.append(hinges[hinges > 0].mean() if hinges.any() else 0.0)
        cosines.append(negatives.mean())
    target = tf.zeros(6, tf.int32)
    loss = task.loss(tf.constant(embeddings), target)
    np.testing.assert_allclose(loss, losses, rtol=1e-5)
    metrics = task.metrics(tf.constant(embeddings), target)
    np.testing.assert_allclose(
        metrics["negative_cosine"], cosines, rtol=1e-4, atol=1e-6
    )


def test_all_patches_of_one_picture_have_no_negative():
    with pytest.raises(ValueError, match="Got 8 with 8 a picture"):
        _task(batch_size=8, patches_per_picture=8)


def test_metrics_by_hand():
    # Two pictures in the plane; the first one's views agree, the second's
    # are a quarter turn apart.
    embeddings = tf.constant(
        [[[1.0, 0], [1, 0]], [[0, 1], [-1, 0]]], tf.float32
    )
    metrics = _task().metrics(embeddings, tf.zeros(2))
    np.testing.assert_allclose(metrics["positive_cosine"], [1, 0])
    np.testing.assert_allclose(metrics["negative_cosine"], [-0.5, 0])
    np.testing.assert_allclose(metrics["triplets_right"], [1, 0.5])
    np.testing.assert_allclose(metrics["active"], [0, 1])


def test_collapse_is_chance():
    embeddings = tf.ones([4, 2, 3]) / math.sqrt(3)
    task = _task()
    target = tf.zeros(4)
    loss = task.loss(embeddings, target)
    np.testing.assert_allclose(loss, task.chance()["loss"], rtol=1e-5)
    right = task.metrics(embeddings, target)["triplets_right"]
    np.testing.assert_allclose(right, task.chance()["triplets_right"])


def test_the_loss_does_not_care_for_rotations_of_the_space():
    embeddings = _unit_vectors((4, 2, 3))
    turn, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))
    turned = (embeddings @ turn).astype(np.float32)
    target = tf.zeros(4)
    np.testing.assert_allclose(
        _task().loss(tf.constant(embeddings), target),
        _task().loss(tf.constant(turned), target),
        rtol=1e-4,
    )


def test_negatives_have_names():
    with pytest.raises(ValueError, match="negatives='hardest' is not one of"):
        _task(negatives="hardest")


def test_a_batch_of_one_has_no_negative():
    with pytest.raises(ValueError, match="Got 1"):
        dataclasses.replace(exemplar.Exemplar.presets["tiny"], batch_size=1)


def test_a_plain_warp_is_a_crop():
    image = np.random.default_rng(0).integers(0, 256, (20, 24, 3), np.uint8)
    transform = distort.patch_transform(
        tf.constant([8.5, 12.5]), 6, tf.constant(1.0), tf.constant(0.0)
    )
    patch = distort.warp(tf.constant(image), transform[None], 6, 6)[0]
    np.testing.assert_array_equal(patch, image[6:12, 10:16])


def test_scale_and_angle_do_as_they_say():
    # On a linear ramp bilinear sampling is exact, but for OpenCV's rounding
    # of places to 1/32 of a pixel.
    y, x = np.mgrid[:40, :40].astype(np.float32)
    ramp = tf.constant(np.stack([y, x], -1))
    center, scale, angle = (20.0, 19.0), 0.8, 0.3
    transform = distort.patch_transform(
        tf.constant(center), 9, tf.constant(scale), tf.constant(angle)
    )
    patch = distort.warp(ramp, transform[None], 9, 9)[0].numpy()
    v, u = np.mgrid[:9, :9] - 4.0
    expected_y = center[0] + scale * (np.sin(angle) * u + np.cos(angle) * v)
    expected_x = center[1] + scale * (np.cos(angle) * u - np.sin(angle) * v)
    np.testing.assert_allclose(patch[..., 0], expected_y, atol=1 / 32)
    np.testing.assert_allclose(patch[..., 1], expected_x, atol=1 / 32)


def test_distortions_stay_in_range_and_differ():
    image = np.random.default_rng(0).integers(0, 256, (80, 100, 3), np.uint8)
    place = tf.constant([0.5, 0.5])
    shares = np.random.default_rng(1).uniform(size=(8, 4)).astype(np.float32)
    patches = distort.distorted_patches(
        tf.constant(image), place, 48, tf.constant(shares)
    ).numpy()
    assert len({patch.tobytes() for patch in patches}) == 8
    # The same patch, as both views of eight examples.
    pairs = np.broadcast_to(patches[0], (8, 2, 48, 48, 3)).astype(np.float32)
    seeds = tf.constant([[0, number] for number in range(8)])
    views = distort.recolored(tf.constant(pairs), 1.0, seeds).numpy()
    assert views.min() >= -1e-3 and views.max() <= 255.001
    assert len({view.mean() for view in views.reshape(16, -1)}) == 16
    np.testing.assert_allclose(
        distort.recolored(tf.constant(pairs), 0.0, seeds), pairs, atol=0.01
    )


def test_contrast_keeps_the_mean_and_scales_the_spread():
    patch = np.random.default_rng(0).uniform(0, 1, (8, 8, 3))
    patch = patch.astype(np.float32)
    spread = np.linalg.eigvalsh(np.cov(patch.reshape(-1, 3).T))
    shares = np.random.default_rng(1).uniform(size=(5, 3)).astype(np.float32)
    patches = np.repeat(patch[None], 5, 0)
    for out in distort.change_contrast(
        tf.constant(patches), 1.0, tf.constant(shares)
    ).numpy():
        np.testing.assert_allclose(
            out.mean((0, 1)), patch.mean((0, 1)), atol=1e-4
        )
        new = np.linalg.eigvalsh(np.cov(out.reshape(-1, 3).T))
        assert new.min() >= 0.25 * spread.min() * 0.999
        assert new.max() <= 4 * spread.max() * 1.001
