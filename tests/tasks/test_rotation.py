"""Tests for rotation."""

import dataclasses
import math

import numpy as np
import pytest
import tensorflow as tf

from mtssl_tf.tasks import rotation

_CONFIG = dataclasses.replace(
    rotation.Rotation.presets["tiny"],
    short_side_px=40,
    crop_px=32,
    color_strength=0.0,
)


def _task(**changes):
    return rotation.Rotation(dataclasses.replace(_CONFIG, **changes))


def _noise(height, width):
    random = np.random.default_rng(0)
    return random.integers(0, 256, (height, width, 3), np.uint8)


def test_the_views_are_one_square_in_four_turns():
    example = {"image": tf.constant(_noise(40, 60))}
    out = _task().cut(example, tf.constant([0, 1]))
    views = out["views"].numpy()
    for turns, view in zip(out["target"].numpy(), views):
        np.testing.assert_array_equal(view, np.rot90(views[0], turns))
    np.testing.assert_array_equal(out["target"], [0, 1, 2, 3])


def test_the_square_lies_in_the_middle_of_the_picture():
    # Colours that a lens shifts outwards tell where up is in a square that
    # was cut elsewhere; and nothing outside of the picture is shown.
    y, x = np.mgrid[:40, :100]
    image = tf.constant(np.stack([y, x, y], -1).astype(np.uint8))
    lefts, tops, mirrored = set(), set(), set()
    for number in range(60):
        view = _task().cut({"image": image}, tf.constant([0, number]))["views"]
        first = view.numpy()[0].astype(int)
        assert first[..., 1].min() >= 30 and first[..., 1].max() < 70
        tops.add(first[..., 0].min())
        lefts.add(first[..., 1].min())
        mirrored.add(int(first[0, 1, 1] - first[0, 0, 1]))
    assert tops == set(range(9)) and lefts == set(range(30, 39))
    assert mirrored == {-1, 1}


@pytest.mark.parametrize("side", [32, 64, 24, 80])
def test_no_trace_of_making_tells_a_turn(side):
    # A picture that is the same in all turns gives four views that are.
    quarter = _noise(side // 2, side // 2)
    half = np.concatenate([quarter, np.rot90(quarter, 3)], 1)
    image = np.concatenate([half, np.rot90(half, 2)], 0)
    np.testing.assert_array_equal(image, np.rot90(image))
    task = _task(short_side_px=32)
    out = task.cut({"image": tf.constant(image)}, tf.constant([0, 5]))
    views = out["views"].numpy().astype(int)
    assert np.abs(views - views[:1]).max() <= 1  # what rounding leaves


def test_colours_do_not_tell_which_views_are_of_one_batch_row():
    task = _task(color_strength=1.0)
    example = {"image": tf.constant(_noise(40, 60))}
    views = task.preprocess(example, tf.constant([0, 1]))["views"].numpy()
    means = views.mean(axis=(1, 2))
    assert np.abs(means - means[:1])[1:].max(axis=-1).min() > 0.5


def test_grey_input_has_no_colours_that_a_lens_could_shift():
    example = {"image": tf.constant(_noise(40, 60))}
    task = _task(grey_input=True)
    views = task.preprocess(example, tf.constant([0, 1]))["views"].numpy()
    rgb = views + np.array(task.contract.means_rgb)
    np.testing.assert_allclose(rgb[..., 0], rgb[..., 2], atol=1e-3)


def test_loss_and_accuracy_by_hand():
    logits = np.zeros((1, 4, 4), np.float32)
    logits[0, 0, 0] = math.log(3)  # right: 3 of 3 + 1 + 1 + 1
    logits[0, 1, 3] = math.log(5)  # wrong: 1 of 1 + 1 + 1 + 5
    logits[0, 2, 2] = math.log(2)
    expected = [math.log(2), math.log(8), math.log(5 / 2), math.log(4)]
    target = tf.range(4)[None]
    loss = _task().loss(tf.constant(logits), target)
    np.testing.assert_allclose(loss, [np.mean(expected)], rtol=1e-5)
    accuracy = _task().metrics(tf.constant(logits), target)["accuracy"]
    np.testing.assert_allclose(accuracy, [0.5])  # the last is taken for 0
    blind = _task().loss(tf.zeros([1, 4, 4]), target)
    np.testing.assert_allclose(blind, [_task().chance()["loss"]], rtol=1e-5)


def test_a_square_larger_than_the_picture_is_refused():
    with pytest.raises(ValueError, match="crop_px=48 is above"):
        _task(crop_px=48)
