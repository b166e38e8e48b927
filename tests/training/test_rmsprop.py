"""The effective step of RMSProp under a gradient that stays the same."""

import keras
import numpy as np

from mtssl_tf.training import rmsprop


def test_a_constant_gradient_ends_up_moving_by_step_size_times_gradient():
    other = keras.Variable(np.zeros(3, "float32"))
    variable = keras.Variable(np.zeros(2, "float32"))
    optimizer = rmsprop.build_rmsprop([other, variable], 1e-3, 0.9, 0.9, 1e-8)
    gradient = np.array([0.5, -4.0], "float32")
    for _ in range(200):
        before = variable.numpy()
        optimizer.apply([np.ones(3, "float32"), gradient])
    moved = variable.numpy() - before
    sizes = keras.ops.convert_to_numpy(
        rmsprop.rmsprop_step_sizes(optimizer, variable)
    )
    np.testing.assert_allclose(moved, -sizes * gradient, rtol=1e-3)
