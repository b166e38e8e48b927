"""SharedConv2D; `test_trunk.py` has whole trunks that share."""

import keras
import numpy as np
import pytest

from mtssl_tf.models import layers


@pytest.mark.parametrize("use_bias", [True, False])
def test_convolves_at_its_own_stride_and_rate(use_bias):
    source = keras.layers.Conv2D(5, 3, strides=2, use_bias=use_bias)
    source.build((None, None, None, 4))
    own = keras.layers.Conv2D(
        5, 3, padding="same", dilation_rate=2, use_bias=use_bias
    )
    own.build((None, None, None, 4))
    own.set_weights(source.get_weights())
    shared = layers.SharedConv2D(source, dilation_rate=2, padding="same")
    image = np.random.default_rng(0).normal(size=[2, 9, 8, 4])
    np.testing.assert_array_equal(shared(image), own(image))
    assert shared.weights == source.weights


def test_needs_a_built_source():
    with pytest.raises(ValueError, match="'late'"):
        layers.SharedConv2D(keras.layers.Conv2D(5, 3, name="late"))
