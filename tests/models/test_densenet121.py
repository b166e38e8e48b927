"""DenseNet-121 against Keras's, which has the same weights."""

import keras
import numpy as np
import pytest
import slim_reference
import trunk_comparison

from mtssl_tf.models import config as model_config
from mtssl_tf.models import trunk as trunk_lib

# Keras's epsilon.
_FULL = model_config.TrunkConfig(family="densenet121", bn_epsilon=1.001e-5)
_PX = 64


@pytest.fixture(scope="module")
def theirs():
    keras.utils.set_random_seed(0)
    model = keras.applications.DenseNet121(
        include_top=False, weights=None, input_shape=(_PX, _PX, 3)
    )
    random = np.random.default_rng(0)
    for variable in model.weights:
        if variable.name in ("gamma", "moving_variance"):
            variable.assign(random.uniform(0.5, 1.5, variable.shape))
        elif variable.name in ("beta", "moving_mean"):
            variable.assign(random.normal(0, 0.2, variable.shape))
    return model


@pytest.fixture(scope="module")
def ours(theirs):
    """Trunk and block 4 with Keras's weights, which are in the same order."""
    trunk = trunk_lib.build_trunk(_FULL)
    block4 = trunk_lib.build_block4(_FULL, first_stride=2)
    weights = theirs.get_weights()
    trunk.set_weights(weights[: len(trunk.weights)])
    block4.set_weights(weights[len(trunk.weights) :])
    return trunk, block4


def test_size(theirs, ours):
    trunk, block4 = ours
    assert theirs.count_params() == 7_037_504
    assert trunk.count_params() == 4_318_784
    assert block4.count_params() == 2_718_720  # the sum is Keras's
    assert _FULL.unit_channels == 1024
    assert len(trunk.output) == 24


def test_block_4_gives_kerass_output(theirs, ours):
    trunk, block4 = ours
    image = slim_reference.random_image(_PX, _PX) / 60
    found = block4(trunk(image)["unit_24"])  # [1, 2, 2, 1024]
    assert trunk_comparison.relative_error(found, theirs(image)) < 1e-5


@pytest.mark.parametrize("number", [1, 2, 12, 24])
def test_units_are_kerass_concatenations_and_zeros(theirs, ours, number):
    layer = theirs.get_layer(f"conv4_block{number}_concat")
    image = slim_reference.random_image(_PX, _PX) / 60
    expected = np.asarray(keras.Model(theirs.input, layer.output)(image))
    channels = 256 + 32 * number
    assert expected.shape == (1, 4, 4, channels)
    unit = np.asarray(ours[0](image)[f"unit_{number:02d}"])
    assert unit.shape == (1, 4, 4, 1024)
    found = unit[..., :channels]
    assert trunk_comparison.relative_error(found, expected) < 1e-5
    assert not unit[..., channels:].any()


def test_block_4_that_keeps_the_size_has_the_same_values():
    config = model_config.TrunkConfig(
        family="densenet121", num_units=(1, 1, 2, 2), width=1 / 8
    )
    dense = trunk_lib.build_block4(config)
    strided = trunk_lib.build_block4(config, first_stride=2, share=dense)
    features = np.random.default_rng(0).normal(
        size=(1, 8, 8, config.unit_channels)
    )
    found = dense(features.astype(np.float32))[:, ::2, ::2]
    expected = strided(features.astype(np.float32))
    assert trunk_comparison.relative_error(found, expected) < 1e-5
