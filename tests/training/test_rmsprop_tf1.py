"""Our RMSProp against TensorFlow 1's own, from the same state."""

import keras
import numpy as np
import pytest
import slim_reference
import tensorflow as tf
import tensorflow.compat.v1 as tf1

from mtssl_tf.models import config as model_config
from mtssl_tf.models import trunk as trunk_lib
from mtssl_tf.slim import names
from mtssl_tf.training import rmsprop

_SETTINGS = [
    # learning rate, decay, momentum, epsilon
    (1e-3, 0.9, 0.9, 1e-8),
    (1e-2, 0.9, 0.0, 1e-10),
    (1e-3, 0.99, 0.9, 1.0),
]
_NUM_STEPS = 10


def _least_squares(weights, x, y):
    return tf.reduce_mean((tf.tanh(x @ weights) - y) ** 2)


def _step_in_tf1(start, batches, settings):
    """Returns the weights after a step on each batch, in a TF1 session."""
    rate, decay, momentum, epsilon = settings
    with tf.Graph().as_default(), tf1.Session() as session:
        weights = tf1.get_variable("w", initializer=start)
        x, y = (tf1.placeholder(tf.float32) for _ in range(2))
        step = tf1.train.RMSPropOptimizer(
            rate, decay, momentum, epsilon
        ).minimize(_least_squares(weights, x, y))
        session.run(tf1.global_variables_initializer())
        for batch in batches:
            session.run(step, dict(zip((x, y), batch, strict=True)))
        return session.run(weights)


@pytest.mark.parametrize("settings", _SETTINGS)
def test_ten_steps(settings):
    random = np.random.default_rng(0)
    start = random.normal(size=[8, 3]).astype(np.float32)
    batches = [
        (
            random.normal(size=[16, 8]).astype(np.float32),
            random.normal(size=[16, 3]).astype(np.float32),
        )
        for _ in range(_NUM_STEPS)
    ]
    weights = keras.Variable(start)
    optimizer = rmsprop.build_rmsprop([weights], *settings)
    for x, y in batches:
        with tf.GradientTape() as tape:
            loss = _least_squares(weights.value, x, y)
        gradient = tape.gradient(loss, weights.value)
        rmsprop.take_step(optimizer, [weights], [gradient])
    expected = _step_in_tf1(start, batches, settings)
    assert np.abs(expected - start).max() > 1e-3
    np.testing.assert_allclose(weights.numpy(), expected, atol=1e-6)


def test_mean_square_starts_at_one():
    variables = [keras.Variable(tf.zeros(shape)) for shape in ([3], [2, 2])]
    optimizer = rmsprop.build_rmsprop(variables, 0.1, 0.9, 0.0, 1e-8)
    gradients = [tf.fill([3], 2.0), tf.fill([2, 2], -2.0)]
    rmsprop.take_step(optimizer, variables, gradients)
    # The mean square is 0.9 * 1 + 0.1 * 4.
    np.testing.assert_allclose(variables[0], -0.2 / 1.3**0.5, rtol=1e-6)
    np.testing.assert_allclose(variables[1], 0.2 / 1.3**0.5, rtol=1e-6)


def test_ten_steps_of_a_trunk_against_tf_slim():
    """TF-Slim's trunk under TF1's optimizer, and ours under ours."""
    settings = (5e-3, 0.9, 0.9, 1e-8)
    images = [
        slim_reference.random_image(65, 65, batch=2, seed=i)
        for i in range(_NUM_STEPS)
    ]
    slim = slim_reference.SlimReference("resnet", (1, 1, 2))
    start = slim.get_weights()
    slim.train(tf1.train.RMSPropOptimizer(*settings), images, 16)
    expected = slim.get_weights()

    trunk = trunk_lib.build_trunk(
        model_config.TrunkConfig(num_units=(1, 1, 2), output_stride=16)
    )
    variables = names.slim_variables(trunk, "resnet")
    variables = {n.removeprefix("resnet/"): v for n, v in variables.items()}
    for name, variable in variables.items():
        variable.assign(start[name])
    optimizer = rmsprop.build_rmsprop(trunk.trainable_variables, *settings)
    for image in images:
        with tf.GradientTape() as tape:
            units = trunk(image, training=True)
            loss = slim_reference.fixed_loss(units)
        trained = [v.value for v in trunk.trainable_variables]
        rmsprop.take_step(
            optimizer, trunk.trainable_variables, tape.gradient(loss, trained)
        )

    for name, variable in variables.items():
        scale = max(np.abs(expected[name]).max(), 1)
        difference = np.abs(variable.numpy() - expected[name]).max()
        assert difference < 1e-5 * scale, name
    kernel = "conv1/weights"
    assert np.abs(expected[kernel] - start[kernel]).max() > 1e-3
