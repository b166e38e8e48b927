"""Tests for relative position."""

import dataclasses
import math

import numpy as np
import pytest
import tensorflow as tf

from mtssl_tf.data import drop_colors
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
    image = tf.constant(np.stack([y, x, y], -1).astype(np.uint8))
    targets, origins = set(), set()
    for position in range(200):
        out = task.cut({"image": image}, _seed(position))
        first, second = out["views"].numpy().astype(int)
        direction = relative_position.DIRECTIONS[int(out["target"])]
        for axis in range(2):
            moved = np.unique(second[..., axis] - first[..., axis])
            np.testing.assert_array_equal(moved, direction[axis] * step)
        targets.add(int(out["target"]))
        origins.add(tuple(first[0, 0, :2]))
    assert targets == set(range(8))
    # The grid's origin is anywhere it can be.
    assert len(origins) > 150


def test_jitter_moves_each_patch_within_its_range():
    config = dataclasses.replace(_CONFIG, jitter_px=4)
    task = relative_position.RelativePosition(config)
    step = config.patch_px + config.gap_px
    y, x = np.mgrid[:150, :150]
    image = tf.constant(np.stack([y, x, y], -1).astype(np.uint8))
    offsets = []
    for position in range(60):
        out = task.cut({"image": image}, _seed(position))
        first, second = out["views"].numpy().astype(int)[:, 0, 0, :2]
        direction = relative_position.DIRECTIONS[int(out["target"])]
        offsets += list(second - first - np.multiply(direction, step))
    assert np.min(offsets) >= -8 and np.max(offsets) <= 8
    assert len(np.unique(offsets)) > 12


def test_patches_of_a_larger_picture_are_cut_at_its_own_scale():
    # Twice as large as the patches' scale: a ramp that rises by a grey level
    # every two of its pixels rises by one a pixel of the patch.
    task = relative_position.RelativePosition(_CONFIG)
    step = _CONFIG.patch_px + _CONFIG.gap_px
    y, x = np.mgrid[:300, :300] // 2
    image = tf.constant(np.stack([y, x, y], -1).astype(np.uint8))
    for position in range(30):
        out = task.cut({"image": image}, _seed(position))
        first, second = out["views"].numpy().astype(int)
        direction = relative_position.DIRECTIONS[int(out["target"])]
        for axis in range(2):
            assert np.unique(np.diff(first[..., axis], axis=axis)) == [1]
            moved = np.unique(second[..., axis] - first[..., axis])
            np.testing.assert_array_equal(moved, direction[axis] * step)


def test_some_patches_are_coarse_in_their_own_place():
    config = dataclasses.replace(_CONFIG, coarse_probability=1.0)
    sharp_task = relative_position.RelativePosition(_CONFIG)
    coarse_task = relative_position.RelativePosition(config)
    y, x = np.mgrid[:150, :150]
    # A slope survives coarsening, a fine grid does not.
    image = tf.constant(
        np.stack([y, x, 255 * ((x + y) % 2)], -1).astype(np.uint8)
    )
    for position in range(20):
        sharp = sharp_task.cut({"image": image}, _seed(position))["views"]
        coarse = coarse_task.cut({"image": image}, _seed(position))["views"]
        sharp, coarse = sharp.numpy().astype(int), coarse.numpy().astype(int)
        middle = slice(12, -12)
        off = np.abs(sharp - coarse)[:, middle, middle, :2]
        assert off.max() <= 5
        assert coarse[:, middle, middle, 2].std() < 90


def test_all_directions_come_equally_often():
    task = relative_position.RelativePosition(_CONFIG)
    example = {"image": tf.zeros([150, 150, 3], tf.uint8)}
    traced = tf.function(lambda seed: task.cut(dict(example), seed)["target"])
    targets = [int(traced(_seed(position))) for position in range(400)]
    counts = np.bincount(targets, minlength=8)
    # 50 each, within four standard deviations.
    assert counts.min() > 23 and counts.max() < 77


def test_dropped_colours_leave_one_channel_and_noise():
    random = np.random.default_rng(0)
    patches = random.uniform(50, 200, (30, 2, 32, 32, 3)).astype(np.float32)
    seeds = tf.stack([_seed(position) for position in range(30)])
    dropped = drop_colors.drop_colors(tf.constant(patches), seeds)
    kept = []
    for patch, out in zip(
        patches.reshape(60, 32, 32, 3), dropped.numpy().reshape(60, 32, 32, 3)
    ):
        is_same = [np.array_equal(out[..., c], patch[..., c]) for c in range(3)]
        assert sum(is_same) == 1
        channel = is_same.index(True)
        kept.append(channel)
        source = patch[..., channel]
        first, second = (out[..., c] for c in {0, 1, 2} - {channel})
        for noise in (first, second):
            assert noise.mean() == pytest.approx(source.mean(), abs=0.5)
            assert noise.std() == pytest.approx(0.01 * source.std(), rel=0.2)
        assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 0.15
    assert set(kept) == {0, 1, 2}
    # The two patches of a pair are not always of one colour.
    assert (np.ptp(np.reshape(kept, (30, 2)), axis=1) > 0).any()


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
