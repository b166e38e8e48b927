"""VGG-16 against Keras's, which has the same weights."""

import dataclasses

import keras
import numpy as np
import pytest
import slim_reference
import trunk_comparison

from mtssl_tf.models import config as model_config
from mtssl_tf.models import trunk as trunk_lib

_FULL = model_config.TrunkConfig(family="vgg16", output_stride=32)
_PX = 64


@pytest.fixture(scope="module")
def theirs():
    keras.utils.set_random_seed(0)
    return keras.applications.VGG16(
        include_top=False, weights=None, input_shape=(_PX, _PX, 3)
    )


@pytest.fixture(scope="module")
def ours(theirs):
    trunk = trunk_lib.build_trunk(_FULL)
    trunk.set_weights(theirs.get_weights())
    return trunk


def test_size(theirs, ours):
    assert ours.count_params() == theirs.count_params() == 14_714_688
    kernels = [v for v in ours.weights if v.name == "kernel"]
    assert len(kernels) == 13
    block4 = trunk_lib.build_block4(_FULL)
    # 3 x 3 of 512 to 1024 and 1 x 1 of 1024 to 1024, with biases.
    assert block4.count_params() == 4_719_616 + 1_049_600


def test_the_last_unit_is_kerass_output_without_its_relu(theirs, ours):
    image = slim_reference.random_image(_PX, _PX)
    last = np.asarray(ours(image)["unit_06"])  # [1, 2, 2, 512]
    assert last.min() < 0
    error = trunk_comparison.relative_error(np.maximum(last, 0), theirs(image))
    assert error < 1e-5


@pytest.mark.parametrize("number", [1, 2, 3, 4, 5, 6])
def test_units_are_kerass_convolutions(theirs, ours, number):
    at_16 = trunk_lib.build_trunk(
        dataclasses.replace(_FULL, output_stride=16), share=ours
    )
    stage, place = divmod(number - 1, 3)
    layer = theirs.get_layer(f"block{stage + 4}_conv{place + 1}")
    image = slim_reference.random_image(_PX, _PX)
    expected = np.asarray(keras.Model(theirs.input, layer.output)(image))
    if stage == 0:  # pooled: [1, 8, 8, 512] to [1, 4, 4, 512]
        expected = expected.reshape(1, 4, 2, 4, 2, 512).max(axis=(2, 4))
    unit = np.asarray(at_16(image)[f"unit_{number:02d}"])
    assert trunk_comparison.relative_error(np.maximum(unit, 0), expected) < 1e-5


def test_block_4_is_one_function_at_every_stride():
    config = model_config.TrunkConfig(family="vgg16", width=1 / 8)
    trunk = trunk_lib.build_trunk(config)
    coarse = dataclasses.replace(config, output_stride=32)
    at_32 = trunk_lib.build_trunk(coarse, share=trunk)
    dense = trunk_lib.build_block4(config)
    strided = trunk_lib.build_block4(config, first_stride=2, share=dense)
    behind_32 = trunk_lib.build_block4(coarse, share=dense)
    image = slim_reference.random_image(128, 128)
    last = trunk(image)["unit_06"]
    expected = strided(last)  # [1, 4, 4, 128]
    found = behind_32(at_32(image)["unit_06"])
    assert trunk_comparison.relative_error(found, expected) < 1e-5
    found = dense(last)[:, ::2, ::2]
    assert trunk_comparison.relative_error(found, expected) < 1e-5
