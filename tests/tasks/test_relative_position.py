"""Tests for relative position."""

import dataclasses
import math

import numpy as np
import pytest
import tensorflow as tf

from mtssl_tf.data import order
from mtssl_tf.tasks import relative_position

_CONFIG = dataclasses.replace(
    relative_position.RelativePosition.presets["tiny"],
    min_short_side_px=150,
    max_short_side_px=150,
    jitter_px=0,
    grey_input=True,
)


def _seed(position):
    return order.example_seed(tf.constant(position, tf.int64), 0)


def test_patches_lie_as_the_target_says():
    # Lightness rises by one grey level a pixel, first in y and then in x.
    task = relative_position.RelativePosition(_CONFIG)
    step = _CONFIG.patch_px + _CONFIG.gap_px
    y, x = np.mgrid[:150, :150]
    seen = set()
    for plane, axis in ((y, 0), (x, 1)):
        image = tf.constant(np.repeat(plane[..., None], 3, -1), tf.float32)
        for position in range(20):
            for target, direction in enumerate(relative_position.DIRECTIONS):
                first, second = task._cut_patches(
                    image, tf.constant(target), _seed(position)
                )
                moved = np.unique(second.numpy() - first.numpy())
                np.testing.assert_array_equal(moved, direction[axis] * step)
                seen.add(float(first[0, 0, 0]))
    # The grid's origin is anywhere it can be.
    assert len(seen) > 15


def test_jitter_moves_each_patch_within_its_range():
    config = dataclasses.replace(_CONFIG, jitter_px=4)
    task = relative_position.RelativePosition(config)
    step = config.patch_px + config.gap_px
    y = np.mgrid[:160, :160][0]
    image = tf.constant(np.repeat(y[..., None], 3, -1), tf.float32)
    below = relative_position.DIRECTIONS.index((1, 0))
    offsets = []
    for position in range(60):
        first, second = task._cut_patches(
            image, tf.constant(below), _seed(position)
        )
        offsets.append(float(second[0, 0, 0] - first[0, 0, 0]) - step)
    assert min(offsets) >= -8 and max(offsets) <= 8
    assert len(set(offsets)) > 5


def test_all_directions_come_equally_often():
    task = relative_position.RelativePosition(_CONFIG)
    example = {"image": tf.zeros([150, 150, 3], tf.uint8)}
    traced = tf.function(
        lambda seed: task.preprocess(dict(example), seed)["target"]
    )
    targets = [int(traced(_seed(position))) for position in range(400)]
    counts = np.bincount(targets, minlength=8)
    # 50 each, within four standard deviations.
    assert counts.min() > 23 and counts.max() < 77


def test_dropped_colours_leave_one_channel_and_noise():
    random = np.random.default_rng(0)
    patch = tf.constant(random.uniform(50, 200, (32, 32, 3)), tf.float32)
    kept = []
    for position in range(30):
        out = relative_position.drop_colors(patch, _seed(position)).numpy()
        is_same = [np.array_equal(out[..., c], patch[..., c]) for c in range(3)]
        assert sum(is_same) == 1
        channel = is_same.index(True)
        kept.append(channel)
        for other in {0, 1, 2} - {channel}:
            noise = out[..., other]
            source = patch[..., channel].numpy()
            assert noise.mean() == pytest.approx(source.mean(), abs=0.5)
            assert noise.std() == pytest.approx(0.01 * source.std(), rel=0.2)
    assert set(kept) == {0, 1, 2}


def test_chromatic_aberration_is_gone():
    # Shifting red against the others is all that differs: with lightness
    # alone or one channel kept the two views must not tell by colour.
    task = relative_position.RelativePosition(
        dataclasses.replace(_CONFIG, grey_input=True)
    )
    random = np.random.default_rng(0)
    image = random.integers(0, 256, (150, 150, 3), np.uint8)
    views = task.preprocess({"image": tf.constant(image)}, _seed(0))["views"]
    rgb = views.numpy() + np.array(task.contract.means_rgb)
    np.testing.assert_allclose(rgb[..., 0], rgb[..., 1], atol=1e-3)
    np.testing.assert_allclose(rgb[..., 0], rgb[..., 2], atol=1e-3)


def test_loss_and_accuracy_by_hand():
    task = relative_position.RelativePosition(_CONFIG)
    logits = tf.constant([[0.0] * 8, [math.log(8)] + [0.0] * 7])
    target = tf.constant([5, 0])
    expected = [math.log(8), -math.log(8 / 15)]
    np.testing.assert_allclose(task.loss(logits, target), expected, rtol=1e-5)
    np.testing.assert_array_equal(
        task.metrics(logits, target)["accuracy"], [0, 1]
    )
    assert task.chance()["loss"] == pytest.approx(2.079, abs=1e-3)


def test_pictures_too_small_for_two_patches_are_refused():
    with pytest.raises(ValueError, match="min_short_side_px=100"):
        dataclasses.replace(_CONFIG, min_short_side_px=100)
