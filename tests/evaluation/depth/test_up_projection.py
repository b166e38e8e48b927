"""The fast up-convolution against its definition, in value and in cost."""

import time

import keras
import numpy as np
import pytest
import tensorflow as tf

from evaluation.depth import up_projection


def _by_definition(features, kernel):
    """Unpools with zeros, then convolves 5x5: the slow form."""
    batch, height, width, channels = features.shape
    zeros = tf.zeros_like(features)
    rows = tf.stack([features, zeros], axis=3)  # [B, h, w, 2, C]
    unpooled = tf.stack([rows, tf.zeros_like(rows)], axis=2)
    unpooled = tf.reshape(unpooled, [batch, 2 * height, 2 * width, channels])
    return tf.nn.conv2d(unpooled, kernel, strides=1, padding="SAME")


def _random(*shape):
    return tf.random.stateless_normal(shape, seed=[3, len(shape)])


@pytest.mark.parametrize("height, width", [(5, 7), (1, 1), (4, 2)])
def test_equals_the_definition(height, width):
    layer = up_projection.UpConvolution(6)
    features = _random(2, height, width, 3)
    fast = layer(features)
    slow = _by_definition(features, layer.kernel_5x5())
    assert fast.shape == (2, 2 * height, 2 * width, 6)
    np.testing.assert_allclose(fast, slow, atol=1e-5)


def test_gradients_equal_those_of_the_definition():
    layer = up_projection.UpConvolution(4)
    features = tf.Variable(_random(1, 4, 5, 3))
    layer.build(features.shape)
    kernel = tf.Variable(layer.kernel_5x5())
    with tf.GradientTape(persistent=True) as tape:
        fast = tf.reduce_sum(tf.sin(layer(features)))
        slow = tf.reduce_sum(tf.sin(_by_definition(features, kernel)))
    np.testing.assert_allclose(
        tape.gradient(fast, features),
        tape.gradient(slow, features),
        atol=1e-5,
    )
    of_kernel = tape.gradient(slow, kernel).numpy()
    of_parts = tape.gradient(fast, [part.value for part in layer.parts])
    offsets = [(0, 0), (0, 1), (1, 0), (1, 1)]
    for (y, x), of_part in zip(offsets, of_parts):
        np.testing.assert_allclose(of_part, of_kernel[y::2, x::2], atol=1e-5)


def _seconds_in_turns(functions, features, num_rounds=20):
    """The fastest call of each: what else runs only ever slows one down."""
    times = [[] for _ in functions]
    for _ in range(num_rounds + 1):
        for function, each in zip(functions, times):
            start = time.perf_counter()
            function(features)
            each.append(time.perf_counter() - start)
    return [min(each[1:]) for each in times]  # the first one traces


@pytest.mark.long
def test_costs_well_under_half_of_the_definition():
    features = _random(4, 15, 20, 128)
    layer = up_projection.UpConvolution(128)
    layer.build(features.shape)
    kernel = tf.constant(layer.kernel_5x5())
    fast, slow = _seconds_in_turns(
        [tf.function(layer), tf.function(lambda x: _by_definition(x, kernel))],
        features,
    )
    print(
        f"fast {fast * 1e3:.1f} ms, definition {slow * 1e3:.1f} ms, "
        f"ratio {fast / slow:.2f}"
    )
    # Products alone give 6.25 / 25 = 0.25; the margin is for a busy machine.
    assert fast / slow < 0.6


def test_initial_scale_keeps_the_variance_of_relu_features():
    features = tf.nn.relu(_random(4, 16, 16, 64))
    outputs = up_projection.UpConvolution(64)(features).numpy()
    # He: E[out^2] = 2 E[in^2], in the mean over even and odd positions.
    ratio = np.mean(outputs**2) / np.mean(features.numpy() ** 2)
    assert 1.4 < ratio < 2.4


def test_block_has_free_size_and_survives_saving(tmp_path):
    inputs = keras.Input((None, None, 8))
    block = keras.Model(
        inputs, up_projection.build_up_projection(inputs, 4, 0.9, "up1")
    )
    features = _random(2, 3, 5, 8)
    outputs = block(features)
    assert outputs.shape == (2, 6, 10, 4)
    assert np.min(outputs) >= 0.0
    # Both 5x5 kernels, their BN, the 3x3 kernel and its BN.
    assert block.count_params() == 25 * 8 * 8 + 4 * 8 + 9 * 4 * 4 + 4 * 4
    block.save(tmp_path / "block.keras")
    reloaded = keras.models.load_model(tmp_path / "block.keras")
    # Keras's own batch norm has more operations, and rounds otherwise.
    np.testing.assert_allclose(reloaded(features), outputs, atol=1e-6)
