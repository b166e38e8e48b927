"""Batch norm in one operation gives what Keras's own layer gives."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from mtssl_tf.models import batch_norm

SHAPE = (4, 6, 5, 7)


def _both(dtype="float32", shape=SHAPE):
    layers = []
    for kind in (
        batch_norm.BatchNormalization,
        keras.layers.BatchNormalization,
    ):
        layer = kind(momentum=0.9, epsilon=1e-3, dtype=dtype, name="norm")
        layer.build(shape)
        random = np.random.default_rng(1)
        layer.set_weights([random.uniform(0.5, 2.0, 7) for _ in range(4)])
        layers.append(layer)
    return layers


def _images(shape=SHAPE):
    return np.random.default_rng(0).normal(3.0, 2.0, shape).astype(np.float32)


def _numbers(layer, images, **kwargs):
    """Outputs, gradients of inputs and weights, and moving statistics."""
    images = tf.constant(images)
    with tf.GradientTape() as tape:
        tape.watch(images)
        outputs = tf.cast(layer(images, **kwargs), tf.float32)
        value = tf.reduce_sum(tf.sin(outputs) * _images(outputs.shape))
    return [
        outputs,
        *tape.gradient(value, [images, layer.gamma.value, layer.beta.value]),
        layer.moving_mean.value,
        layer.moving_variance.value,
    ]


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("trainable", [True, False])
def test_numbers_and_gradients_are_those_of_keras(training, trainable):
    results = []
    for layer in _both():
        layer.trainable = trainable
        results.append(_numbers(layer, _images(), training=training))
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("shape", [(1, 1, 1, 7), (2, 7)])
def test_a_single_place_and_features_without_places(shape):
    results = []
    for layer in _both(shape=shape):
        outputs = layer(_images(shape), training=True)
        results.append([outputs, layer.moving_mean, layer.moving_variance])
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


def test_bfloat16_stays_and_statistics_are_float32():
    ours, theirs = _both("mixed_bfloat16")
    outputs = ours(_images(), training=True)
    assert outputs.dtype == tf.bfloat16
    np.testing.assert_allclose(
        tf.cast(outputs, tf.float32),
        tf.cast(theirs(_images(), training=True), tf.float32),
        atol=0.05,
    )
    assert ours.moving_variance.dtype == "float32"
    np.testing.assert_allclose(
        ours.moving_variance, theirs.moving_variance, rtol=1e-2
    )


def test_a_saved_model_holds_keras_own_layer(tmp_path):
    image = keras.Input((None, None, 7))
    model = keras.Model(image, _both()[0](image))
    config = json.dumps(keras.saving.serialize_keras_object(model))
    assert "mtssl_tf" not in config
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert type(loaded.layers[-1]) is keras.layers.BatchNormalization
    np.testing.assert_allclose(
        loaded(_images()), model(_images()), rtol=1e-5, atol=1e-5
    )
