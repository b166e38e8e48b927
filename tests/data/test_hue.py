"""Turned hues against the standard library's, a colour at a time."""

import colorsys

import numpy as np
import pytest
import tensorflow as tf

from mtssl_tf.data import hue


@pytest.mark.parametrize("shift", [-0.2, 0.0, 1 / 3, 0.9])
def test_hues_turn_as_the_standard_library_has_them(shift):
    colors = np.random.default_rng(0).random((50, 3))
    colors[:3] = [[0.0], [0.5], [1.0]]  # greys have no hue
    colors[3:9] = np.array(
        [[1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 1, 1], [0, 0, 1], [1, 0, 1]]
    )
    pictures = tf.constant(colors[:, None, None], tf.float32)
    channels = hue.split(pictures)
    highest, lowest = hue.ends(channels)
    shares = hue.turned(channels, highest, lowest, tf.fill([50, 1, 1], shift))
    turned = hue.join([lowest + (highest - lowest) * each for each in shares])
    for ours, color in zip(turned.numpy()[:, 0, 0], colors):
        place, saturation, value = colorsys.rgb_to_hsv(*color)
        expected = colorsys.hsv_to_rgb((place + shift) % 1, saturation, value)
        np.testing.assert_allclose(ours, expected, atol=1e-6)
