"""How far a step goes, and the lasso's step that follows it."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from mtssl_tf.models import lasso_mix
from mtssl_tf.training import proximal as proximal_lib
from mtssl_tf.training import rmsprop

_RATE = 1e-3
_GRADIENT = np.array([0.5, -4.0], "float32")


def _rmsprop(variables):
    return rmsprop.build_rmsprop(variables, _RATE, 0.9, 0.9, 1e-8)


def _sgd(variables):
    optimizer = keras.optimizers.SGD(_RATE, momentum=0.9)
    optimizer.build(variables)
    return optimizer


def _plain(variables):
    optimizer = keras.optimizers.SGD(_RATE)
    optimizer.build(variables)
    return optimizer


@pytest.mark.parametrize("build", [_rmsprop, _sgd, _plain])
def test_a_constant_gradient_ends_up_moving_by_step_size_times_gradient(build):
    other = keras.Variable(np.zeros(3, "float32"))
    variable = keras.Variable(np.zeros(2, "float32"))
    optimizer = build([other, variable])
    for _ in range(200):
        before = variable.numpy()
        optimizer.apply([np.ones(3, "float32"), _GRADIENT])
    moved = variable.numpy() - before
    sizes = keras.ops.convert_to_numpy(
        proximal_lib.step_sizes(optimizer, variable)
    )
    np.testing.assert_allclose(moved, -sizes * _GRADIENT, rtol=1e-3)


def test_so_it_does_with_tf_keras():
    variable = tf.Variable(tf.zeros(2))
    optimizer = tf_keras.optimizers.SGD(_RATE, momentum=0.9, jit_compile=False)
    for _ in range(200):
        before = variable.numpy()
        optimizer.apply_gradients([(tf.constant(_GRADIENT), variable)])
    size = float(proximal_lib.step_sizes(optimizer, variable))
    np.testing.assert_allclose(
        variable.numpy() - before, -size * _GRADIENT, rtol=1e-3
    )


def test_the_rate_is_that_of_the_step_just_taken():
    # A kind of fault: asked after its step, an optimizer with a schedule
    # answers for the next one.
    variable = keras.Variable(np.zeros(2, "float32"))
    optimizer = keras.optimizers.SGD(
        keras.optimizers.schedules.PiecewiseConstantDecay([1], [0.25, 0.5]),
        momentum=0.5,
    )
    optimizer.build([variable])
    sizes = []
    for _ in range(3):
        optimizer.apply([np.zeros(2, "float32")])
        sizes.append(float(proximal_lib.step_sizes(optimizer, variable)))
    assert sizes == [0.5, 0.5, 1.0]


def test_another_optimizer_is_named():
    variable = keras.Variable(np.zeros(2, "float32"))
    with pytest.raises(TypeError, match="not of .*Adam.*proximal=False"):
        proximal_lib.step_sizes(keras.optimizers.Adam(), variable)


def _mix(proximal):
    mix = lasso_mix.LassoMix(l1=0.5, proximal=proximal)
    mix.build([(None, 2, 2, 1)] * 2)
    mix.raw_weights.assign([0.6, 0.8])
    return mix


def test_only_a_proximal_mix_is_shrunk():
    proximal_lib.take_proximal_step(None, None)
    for proximal in (False, True):
        mix = _mix(proximal)
        optimizer = keras.optimizers.SGD(0.04, momentum=0.9)
        optimizer.build(mix.trainable_variables)
        optimizer.apply([np.zeros(2, "float32")])
        proximal_lib.take_proximal_step(mix, optimizer)
        shrunk = np.array([0.6, 0.8]) - proximal * 0.5 * 0.04 / (1 - 0.9)
        np.testing.assert_allclose(
            mix.mixing_weights(), shrunk / np.linalg.norm(shrunk), rtol=1e-5
        )
