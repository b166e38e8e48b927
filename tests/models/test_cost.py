"""Operations counted by hand."""

import dataclasses

import keras
import pytest

from mtssl_tf.models import config as model_config
from mtssl_tf.models import cost
from mtssl_tf.models import trunk as trunk_lib


def test_counts_each_convolution():
    image = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(4, 3, strides=2, padding="same")(image)
    x = keras.layers.ReLU()(x)
    x = keras.layers.Conv2D(5, 1)(x)
    model = keras.Model(image, x)
    # 2 pictures, 4 x 5 places, 4 values of 27 terms and 5 of 4 terms.
    by_hand = 2 * (4 * 5) * (4 * 27 + 5 * 4) * 2
    assert cost.trunk_flops(model, (2, 8, 10, 3)) == by_hand


def test_counts_a_trunk_that_shares():
    config = model_config.TrunkConfig(
        depth=50, num_units=(1, 1, 1), width=1 / 16
    )
    trunk = trunk_lib.build_trunk(config)
    dense = dataclasses.replace(config, output_stride=8)
    own = cost.trunk_flops(trunk_lib.build_trunk(dense), (1, 64, 64, 3))
    assert (
        cost.trunk_flops(
            trunk_lib.build_trunk(dense, share=trunk), (1, 64, 64, 3)
        )
        == own
    )
    # conv1: 32 x 32 places, 4 values of 7 * 7 * 3 terms.
    conv1 = 2 * 32 * 32 * 4 * 147
    # Units read 16 x 16 places; the last of block 1 leaves 8 x 8.
    block1 = 2 * (16 * 16 * 4 * 4 + 8 * 8 * (9 * 4 * 4 + 4 * 16 + 4 * 16))
    # Block 2 does not stride: 8 x 8 places throughout, 16 to 32 channels.
    block2 = 2 * 64 * (16 * 8 + 9 * 8 * 8 + 8 * 32 + 16 * 32)
    block3 = 2 * 64 * (32 * 16 + 9 * 16 * 16 + 16 * 64 + 32 * 64)
    assert own == conv1 + block1 + block2 + block3


def test_needs_a_known_size():
    trunk = trunk_lib.build_trunk(
        model_config.TrunkConfig(depth=50, num_units=(1, 1, 1), width=1 / 16)
    )
    with pytest.raises(ValueError, match="None"):
        cost.trunk_flops(trunk, (1, None, 64, 3))
