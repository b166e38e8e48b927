"""Tests for what tasks of two views share."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from mtssl_tf.tasks import two_views

_CONFIG = two_views.TwoViewsConfig(
    batch_size=6, short_side_px=40, crop_px=32, color_strength=0.4
)


def _cut(**changes):
    random = np.random.default_rng(0)
    image = random.integers(0, 256, (50, 70, 3), np.uint8)
    config = dataclasses.replace(_CONFIG, **changes)
    return two_views.cut(config, {"image": image}, tf.constant([0, 3]))


def test_the_two_views_are_cut_elsewhere():
    first, second = _cut()["views"].numpy().astype(int)
    assert np.abs(first - second).mean() > 20


def test_each_view_has_colours_of_its_own():
    # The same pixels twice: what is left of colour would tell the pair.
    random = np.random.default_rng(0)
    view = random.uniform(60, 200, (1, 1, 8, 8, 3)).astype(np.float32)
    views = np.broadcast_to(view, (40, 2, 8, 8, 3))
    seeds = tf.constant([[0, number] for number in range(40)])
    out = two_views.recolored(_CONFIG, tf.constant(views), seeds).numpy()
    is_grey = np.ptp(out, axis=-1).max(axis=(2, 3)) < 1e-2  # [40, 2]
    assert 0.08 < is_grey.mean() < 0.35
    assert (is_grey[:, 0] != is_grey[:, 1]).any()
    means = out.mean(axis=(2, 3))
    assert np.abs(means[:, 0] - means[:, 1]).max(axis=-1).min() > 0.2
    never = dataclasses.replace(_CONFIG, grey_probability=0.0)
    out = two_views.recolored(never, tf.constant(views), seeds).numpy()
    assert np.ptp(out, axis=-1).max(axis=(2, 3)).min() > 1


def test_pairs_right_by_hand():
    # First views down, second views across.
    nearness = np.array(
        [[0.9, 0.1, 0.9], [0.4, 0.3, 0.2], [0.1, 0.2, 0.3]], np.float32
    )
    right = two_views.pairs_right(tf.constant(nearness), 1)
    np.testing.assert_allclose(right, [0.75, 0.5, 1.0])


def test_examples_of_one_picture_are_not_held_against_each_other():
    nearness = np.float32(np.arange(16).reshape(4, 4))
    # Own: 0, 5, 10, 15; others of other pictures, two examples a picture.
    right = two_views.pairs_right(tf.constant(nearness), 2)
    np.testing.assert_allclose(right, [0, 0, 1, 1])
    is_other = two_views.is_other_picture(4, 2)
    np.testing.assert_array_equal(
        is_other, np.kron([[0, 1], [1, 0]], np.ones((2, 2))).astype(bool)
    )


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(ValueError, match="Got 1 with 1 a picture"):
        dataclasses.replace(_CONFIG, batch_size=1)
    with pytest.raises(ValueError, match="Got 4 with 4 a picture"):
        dataclasses.replace(_CONFIG, batch_size=4, patches_per_picture=4)
    with pytest.raises(ValueError, match="crop_px=48 is above"):
        dataclasses.replace(_CONFIG, crop_px=48)
