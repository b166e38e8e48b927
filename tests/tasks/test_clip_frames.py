"""Tests for what tasks about the order of frames share."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from mtssl_tf.tasks import clip_frames

_CONFIG = clip_frames.ClipFramesConfig(
    short_side_px=40, crop_px=32, jitter_px=2, color_strength=0.5
)


def _share(number, seed=0):
    values = np.random.default_rng(seed).uniform(size=number)
    return tf.constant(values, tf.float32)


def _frames():
    """Ramps in y and x; blue tells which frame it is."""
    y, x = np.mgrid[:40, :60]
    return tf.constant(
        np.stack(
            [
                np.stack([y, x, np.full_like(y, 10 * number)], -1)
                for number in range(8)
            ]
        ).astype(np.uint8)
    )


def test_chosen_frames_are_different_and_in_order():
    seen = set()
    for seed in range(100):
        numbers = clip_frames.chosen(3, _share(8, seed)).numpy().tolist()
        assert sorted(set(numbers)) == numbers and len(numbers) == 3
        seen |= set(numbers)
    assert seen == set(range(8))


def test_views_are_the_frames_that_are_asked_for():
    numbers = tf.constant([5, 0, 7])
    views = clip_frames.cut(_CONFIG, _frames(), numbers, _share(9)).numpy()
    assert views.shape == (3, 32, 32, 3)
    for number, view in zip(numbers.numpy(), views):
        np.testing.assert_array_equal(view[..., 2], 10 * number)


def test_no_pixel_can_be_followed_from_frame_to_frame():
    # The same square but for a few pixels, other ones for each view.
    tops, moves, mirrored = set(), set(), set()
    for seed in range(80):
        share = _share(clip_frames.num_shares(3), seed)
        views = clip_frames.cut(
            _CONFIG, _frames(), tf.constant([1, 2, 3]), share
        ).numpy()
        y = views[:, 0, 0, 0].astype(int)
        x = views[..., 1].min(axis=(1, 2)).astype(int)
        assert np.ptp(y) <= 4 and np.ptp(x) <= 4
        tops |= set(y)
        moves |= set((y - y[0]).tolist())
        mirrored.add(bool(views[0, 0, 0, 1] > views[0, 0, -1, 1]))
    assert tops == set(range(9)) and moves == set(range(-4, 5))
    assert mirrored == {False, True}


def test_light_that_grows_does_not_tell_time():
    views = np.full((50, 3, 8, 8, 3), 120, np.uint8)
    views += np.uint8([0, 4, 8])[:, None, None, None]
    batch = {
        "views": tf.constant(views),
        "seed": tf.constant([[0, number] for number in range(50)]),
    }
    out = clip_frames.recolored(_CONFIG, batch).numpy()
    light = out.mean(axis=(2, 3, 4))
    grows = (np.diff(light) > 0).all(axis=1).mean()
    assert grows < 0.45  # 1/6 where it tells nothing


def test_squares_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="jitter_px=5 on both sides"):
        dataclasses.replace(_CONFIG, jitter_px=5)
