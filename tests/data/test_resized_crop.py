"""Tests for random resized crops."""

import numpy as np
import pytest
import tensorflow as tf

from mtssl_tf.data import resized_crop


def _ramp(height, width):
    y, x = np.mgrid[:height, :width].astype(np.float32)
    return tf.constant(np.stack([y, x, y], -1))


def test_the_whole_picture_as_it_is():
    random = np.random.default_rng(0)
    image = random.integers(0, 256, (24, 24, 3), np.uint8)
    # The middle of the ratios is 1.
    shares = tf.constant([[1.0, 0.5, 0.0, 0.0, 0.9], [1, 0.5, 0, 0, 0.1]])
    crops = resized_crop.random_crops(tf.constant(image), 0.1, 24, shares)
    np.testing.assert_array_equal(crops[0], image)
    np.testing.assert_array_equal(crops[1], image[:, ::-1])


def test_a_crop_is_where_its_shares_say():
    # A quarter of the area, square, in the lower left corner: every pixel of
    # 10 is the middle of two of the picture's.
    shares = tf.constant([[0.0, 0.5, 1.0, 0.0, 0.9]])
    (crop,) = resized_crop.random_crops(_ramp(40, 40), 0.25, 10, shares)
    expected = 0.5 + 2.0 * np.arange(10)
    np.testing.assert_allclose(crop[:, 0, 0], 20 + expected, atol=1 / 32)
    np.testing.assert_allclose(crop[0, :, 1], expected, atol=1 / 32)


@pytest.mark.parametrize("size", [(40, 40), (40, 90), (70, 40)])
def test_crops_stay_within_the_picture_and_in_their_ranges(size):
    shares = np.random.default_rng(0).uniform(size=(200, 5))
    crops = resized_crop.random_crops(
        _ramp(*size), 0.2, 16, tf.constant(shares, tf.float32)
    ).numpy()
    # On a ramp a crop's slope is its scale.
    height = (crops[:, -1, 0, 0] - crops[:, 0, 0, 0]) * 16 / 15
    width = np.abs(crops[:, 0, -1, 1] - crops[:, 0, 0, 1]) * 16 / 15
    area = height * width / (size[0] * size[1])
    assert area.min() > 0.19 and area.max() < 1.01
    is_whole = (height > size[0] - 0.5) | (width > size[1] - 0.5)
    ratio = (width / height)[~is_whole]
    assert ratio.min() > 0.74 and ratio.max() < 1.35
    # The first and last pixel are of the picture, not mirrored beyond it.
    assert crops[..., 0].min() >= -1e-3 and crops[..., 0].max() <= size[0]
    assert np.all(np.abs(np.diff(crops[..., 1], axis=2)) > 0.1)
    mirrored = crops[:, 0, 0, 1] > crops[:, 0, -1, 1]
    assert 0.35 < mirrored.mean() < 0.65
