"""Tests for motion segmentation."""

import dataclasses
import math

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics
import tensorflow as tf

from mtssl_tf.tasks import motion_segmentation

_CONFIG = dataclasses.replace(
    motion_segmentation.MotionSegmentation.presets["tiny"],
    min_short_side_px=32,
    max_short_side_px=32,
    crop_px=32,
    color_strength=0.0,
)


def _task():
    return motion_segmentation.MotionSegmentation(_CONFIG)


def test_the_mask_goes_along_with_the_frame():
    # The mask is the picture's own bright part: after crop and flip it still
    # must be.
    random = np.random.default_rng(0)
    bright = np.kron(random.random((6, 6)) > 0.5, np.ones((8, 8), bool))
    image = np.where(bright, 250, 10)[..., None].repeat(3, -1)
    example = {
        "image": tf.constant(image.astype(np.uint8)),
        "moving": tf.constant(np.where(bright, 255, 0)[..., None], tf.uint8),
    }
    task = motion_segmentation.MotionSegmentation(
        dataclasses.replace(_CONFIG, min_short_side_px=48, max_short_side_px=48)
    )
    for number in range(6):
        out = task.preprocess(dict(example), [0, number])
        view = task.to_displayed(out["views"].numpy())[0, ..., 0]
        share = (view > 128).reshape(4, 8, 4, 8).mean((1, 3))
        np.testing.assert_allclose(out["target"], share, atol=1e-5)


def test_hard_labels_are_one_where_half_of_a_place_moves():
    task = motion_segmentation.MotionSegmentation(
        dataclasses.replace(_CONFIG, hard_labels=True)
    )
    moving = np.zeros((1, 8, 24, 1), np.uint8)
    moving[:, :4, :8] = 255  # half of the first place
    moving[:, :3, 8:16] = 255  # less of the second
    batch = {
        "views": tf.zeros([1, 1, 8, 24, 3], tf.uint8),
        "target": tf.constant(moving),
        "seed": tf.zeros([1, 2], tf.int32),
    }
    np.testing.assert_array_equal(task.color(batch)["target"], [[[1, 0, 0]]])


def test_loss_equals_numpy():
    random = np.random.default_rng(0)
    logits = random.normal(size=(2, 4, 4)).astype(np.float32)
    target = random.random((2, 4, 4)).astype(np.float32)
    p = 1 / (1 + np.exp(-logits))
    expected = -target * np.log(p) - (1 - target) * np.log(1 - p)
    np.testing.assert_allclose(
        _task().loss(tf.constant(logits), tf.constant(target)),
        expected.mean((1, 2)),
        rtol=1e-5,
    )


def test_auc_equals_scikit_learn():
    random = np.random.default_rng(0)
    logits = random.normal(size=(5, 4, 4)).astype(np.float32)
    target = (random.random((5, 4, 4)) > 0.6).astype(np.float32)
    expected = [
        sklearn_metrics.roc_auc_score(t.ravel(), s.ravel())
        for t, s in zip(target, logits)
    ]
    auc = _task().metrics(tf.constant(logits), tf.constant(target))["auc"]
    np.testing.assert_allclose(auc, expected, rtol=1e-5)


def test_auc_has_no_say_where_nothing_moves():
    logits = tf.zeros([1, 4, 4])
    auc = _task().metrics(logits, tf.zeros([1, 4, 4]))["auc"]
    assert np.isnan(auc)


def test_the_centre_is_a_strong_guess_for_what_is_in_the_middle():
    target = np.zeros((2, 4, 4), np.float32)
    target[0, 1:3, 1:3] = 1
    target[1, 0] = 1
    metrics = _task().metrics(tf.zeros([2, 4, 4]), tf.constant(target))
    assert metrics["auc_of_center"][0] == 1
    assert metrics["auc_of_center"][1] < 0.5


def test_chance_is_what_the_fitted_share_gets():
    task = _task()
    task.use_facts({"moving_share": np.array(0.2)})
    target = np.zeros((1, 5, 4), np.float32)
    target[0, :, 0] = [1, 1, 1, 1, 0]  # a fifth
    logits = tf.fill([1, 5, 4], math.log(0.2 / 0.8))
    loss = float(task.loss(logits, tf.constant(target))[0])
    assert loss == pytest.approx(task.chance()["loss"], rel=1e-5)


def test_fit_measures_the_share():
    def example(share):
        moving = np.zeros((32, 32, 1), np.uint8)
        moving[: int(32 * share)] = 255
        image = np.zeros((32, 32, 3), np.uint8)
        return {"image": tf.constant(image), "moving": tf.constant(moving)}

    facts = _task().fit([example(0.25), example(0.75)])
    assert facts["moving_share"] == pytest.approx(0.5)
    still = _task()
    still.use_facts(_task().fit([example(0.0)]))
    assert math.isfinite(still.chance()["loss"])
