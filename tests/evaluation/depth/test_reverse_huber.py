"""The reverse Huber loss against hand-computed values."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from evaluation.depth import reverse_huber


def _loss(prediction, target):
    return keras.ops.convert_to_numpy(
        reverse_huber.reverse_huber(
            keras.ops.convert_to_tensor(np.array(prediction, np.float32)),
            keras.ops.convert_to_tensor(np.array(target, np.float32)),
        )
    )


def test_is_linear_below_the_threshold_and_quadratic_above():
    # Residuals 0.1, 0.4, 1 and 2: c = 0.4. |x| for the first two,
    # (1 + 0.16) / 0.8 = 1.45 and (4 + 0.16) / 0.8 = 5.2 for the others.
    loss = _loss([[[1.1, 1.6], [3.0, 5.0]]], [[[1.0, 2.0], [2.0, 3.0]]])
    assert loss == pytest.approx([(0.1 + 0.4 + 1.45 + 5.2) / 4], rel=1e-5)


def test_threshold_is_the_batch_s_and_the_mean_the_picture_s():
    # The largest residual, 5, is in the second picture: c = 1.
    loss = _loss([[[2.0, 3.0]], [[6.0, 1.0]]], [[[1.0, 1.0]], [[1.0, 1.0]]])
    assert loss == pytest.approx([(1.0 + 2.5) / 2, (13.0 + 0.0) / 2])


@pytest.mark.parametrize("missing", [0.0, np.nan])
def test_missing_depth_counts_neither_in_threshold_nor_mean(missing):
    loss = _loss([[[2.0, 99.0]]], [[[1.5, missing]]])
    # One pixel with residual 0.5, c = 0.1.
    assert loss == pytest.approx([(0.25 + 0.01) / 0.2])


def test_picture_without_known_depth_costs_nothing():
    assert _loss([[[2.0]], [[3.0]]], [[[0.0]], [[3.0]]]).tolist() == [0, 0]


def test_gradient_is_finite_and_zero_at_missing_depth():
    prediction = tf.Variable([[[2.0, 7.0, 1.0]]])
    with tf.GradientTape() as tape:
        loss = reverse_huber.reverse_huber(
            prediction, tf.constant([[[1.0, np.nan, 1.0]]], tf.float32)
        )
    gradient = tape.gradient(loss, prediction).numpy().ravel()
    # d/dx x^2 / 2c = x / c = 1 / 0.2 over two known pixels.
    assert gradient == pytest.approx([2.5, 0.0, 0.0])
