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


class TestWithBatchNorm:
    def test_size(self):
        config = dataclasses.replace(_FULL, family="vgg16_bn")
        trunk = trunk_lib.build_trunk(config)
        # torchvision's features of vgg16_bn, less the 4,224 biases.
        trained = sum(v.shape.num_elements() for v in trunk.trainable_weights)
        assert trained == 14_723_136 - 4_224
        block4 = trunk_lib.build_block4(config)
        trained = sum(v.shape.num_elements() for v in block4.trainable_weights)
        # Scale and offset where there was a bias.
        assert trained == 4_719_616 + 1_049_600 + 2 * 1024

    def test_it_is_vgg16_with_the_norms_folded_into_its_convolutions(self):
        config = model_config.TrunkConfig(family="vgg16_bn", width=1 / 8)
        trunk = trunk_lib.build_trunk(config)
        plain = trunk_lib.build_trunk(
            dataclasses.replace(config, family="vgg16")
        )
        rng = np.random.default_rng(0)
        for layer in plain.layers:
            if not layer.weights:
                continue
            norm = trunk.get_layer(f"{layer.name}_BatchNorm")
            gamma, beta, mean, variance = (
                rng.uniform(0.5, 2, size=v.shape) for v in norm.weights
            )
            norm.set_weights([gamma, beta, mean, variance])
            kernel = np.asarray(trunk.get_layer(layer.name).kernel)
            scale = gamma / np.sqrt(variance + config.bn_epsilon)
            layer.set_weights([kernel * scale, beta - mean * scale])
        image = slim_reference.random_image(_PX, _PX)
        found, expected = trunk(image, training=False), plain(image)
        for name in expected:
            error = trunk_comparison.relative_error(found[name], expected[name])
            assert error < 1e-5


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
