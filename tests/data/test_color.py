"""Tests for colour conversion."""

import numpy as np
import skimage.color
import tensorflow as tf

from mtssl_tf.data import color


def _random_rgb():
    return np.random.default_rng(0).random((4, 5, 3)).astype(np.float32)


def test_lab_equals_scikit_image():
    rgb = _random_rgb()
    np.testing.assert_allclose(
        color.to_lab(tf.constant(rgb)), skimage.color.rgb2lab(rgb), atol=2e-2
    )


def test_lab_of_black_white_and_red():
    rgb = tf.constant([[0.0, 0, 0], [1, 1, 1], [1, 0, 0]])
    expected = [[0, 0, 0], [100, 0, 0], [53.24, 80.09, 67.20]]
    np.testing.assert_allclose(color.to_lab(rgb), expected, atol=0.02)


def test_from_lab_undoes_to_lab():
    rgb = _random_rgb()
    again = color.from_lab(color.to_lab(tf.constant(rgb)))
    np.testing.assert_allclose(again, rgb, atol=1e-4)


def test_grey_is_lightness_in_all_channels():
    rgb = 255 * _random_rgb()
    grey = color.to_grey(tf.constant(rgb)).numpy()
    lightness = skimage.color.rgb2lab(rgb / 255)[..., 0] * 2.55
    for channel in range(3):
        np.testing.assert_allclose(grey[..., channel], lightness, atol=0.05)


def test_grey_pictures_have_no_chroma():
    grey = tf.fill([2, 2, 3], 77.0)
    lab = color.to_lab(grey / 255.0).numpy()
    np.testing.assert_allclose(lab[..., 1:], 0, atol=1e-2)
