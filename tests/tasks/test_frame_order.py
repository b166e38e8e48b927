"""Tests for frame order."""

import dataclasses
import math

import numpy as np
import pytest
import tensorflow as tf

from mtssl_tf.tasks import frame_order

_CONFIG = dataclasses.replace(
    frame_order.FrameOrder.presets["tiny"],
    short_side_px=40,
    crop_px=32,
    color_strength=0.0,
)


def _task():
    return frame_order.FrameOrder(_CONFIG)


def _triples(number):
    """Returns which frames are shown, int [n, 3], and targets, int [n]."""
    frames = np.full((8, 40, 50, 3), 10, np.uint8)
    frames *= np.arange(1, 9, dtype=np.uint8)[:, None, None, None]
    example = {"frames": tf.constant(frames)}
    cut = tf.function(_task().cut)
    found = [cut(example, tf.constant([0, n])) for n in range(number)]
    shown = [out["views"].numpy()[:, 0, 0, 0] // 10 - 1 for out in found]
    return np.array(shown).astype(int), np.array(
        [int(out["target"]) for out in found]
    )


def test_triples_are_in_order_where_the_target_says():
    shown, targets = _triples(300)
    steps = np.sign(np.diff(shown, axis=1))
    is_monotone = steps[:, 0] == steps[:, 1]
    np.testing.assert_array_equal(is_monotone, targets == 1)
    assert 0.4 < targets.mean() < 0.6


def test_neither_the_first_nor_the_last_frame_tells():
    # Time goes both ways, and outer frames are alike in both answers.
    shown, targets = _triples(600)
    ends = np.sort(shown[:, [0, 2]], axis=1)
    backwards = (shown[:, 0] > shown[:, 2]).mean()
    assert 0.42 < backwards < 0.58
    for answer in (0, 1):
        first, last = ends[targets == answer].mean(axis=0)
        # The second and fourth of five of 0..7, in the mean.
        assert first == pytest.approx(2.0, abs=0.35)
        assert last == pytest.approx(5.0, abs=0.35)


def test_a_wrong_middle_lies_before_as_often_as_after():
    shown, targets = _triples(600)
    wrong = shown[targets == 0]
    is_before = wrong[:, 1] < wrong[:, [0, 2]].min(axis=1)
    assert 0.4 < is_before.mean() < 0.6


def test_loss_and_accuracy_by_hand():
    logits = tf.constant([[0.0, 0], [0, math.log(3)], [math.log(3), 0]])
    target = tf.constant([0, 1, 1])
    expected = [math.log(2), math.log(4 / 3), math.log(4)]
    np.testing.assert_allclose(_task().loss(logits, target), expected, 1e-5)
    accuracy = _task().metrics(logits, target)["accuracy"]
    np.testing.assert_array_equal(accuracy, [1, 1, 0])
    assert _task().chance()["loss"] == pytest.approx(math.log(2))
