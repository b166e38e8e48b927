"""Tests for sizes and crops of pictures."""

import cv2
import numpy as np
import pytest
import tensorflow as tf

from mtssl_tf.data import resize


def _picture(height, width):
    random = np.random.default_rng(0)
    return random.integers(0, 256, (height, width, 3), np.uint8)


@pytest.mark.parametrize(
    "size, side, expected",
    [
        ((40, 60), 20, (20, 30)),
        ((60, 40), 80, (120, 80)),
        ((33, 50), 33, (33, 50)),
        ((30, 1000), 10, (10, 333)),
    ],
)
def test_the_short_side_and_the_aspect(size, side, expected):
    resized = resize.resize_short_side(tf.constant(_picture(*size)), side)
    assert resized.shape[:2] == expected
    assert resized.dtype == tf.float32


def test_shrinking_averages_as_opencv_does():
    image = _picture(60, 90)
    for side in (30, 24):
        resized = resize.resize_short_side(tf.constant(image), side).numpy()
        size = (resized.shape[1], resized.shape[0])
        expected = cv2.resize(
            image.astype(np.float32), size, interpolation=cv2.INTER_AREA
        )
        np.testing.assert_allclose(resized, expected, atol=0.01)


def test_a_fine_grid_leaves_no_moire():
    # Every other line white: any true average is grey.
    lines = np.zeros((100, 100, 3), np.uint8)
    lines[::2] = 255
    small = resize.resize_short_side(tf.constant(lines), 20).numpy()
    assert abs(small - 127.5).max() < 30


def test_crops_lie_everywhere_in_the_picture():
    y, x = np.mgrid[:10, :12]
    image = tf.constant(np.stack([y, x, x], -1), tf.float32)
    corners = {
        tuple(resize.random_crop(image, 8, [0, n])[0, 0, :2].numpy())
        for n in range(200)
    }
    expected = {(float(i), float(j)) for i in range(3) for j in range(5)}
    assert corners == expected
