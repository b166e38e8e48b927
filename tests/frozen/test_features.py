"""Pooling to 3 x 3, and features of a trunk that stays as it is."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from mtssl_tf.frozen import features as features_lib
from mtssl_tf.models import config as model_config
from mtssl_tf.models import input_contract
from mtssl_tf.models import trunk as trunk_lib


def test_on_seven_by_seven_it_is_the_papers_pool():
    features = np.random.default_rng(0).standard_normal((2, 7, 7, 4))
    want = tf.nn.max_pool2d(features, 3, 2, "VALID")
    np.testing.assert_array_equal(features_lib.pool_to_grid(features), want)


@pytest.mark.parametrize("size", [3, 4, 5, 6, 8, 12, 14, 28])
def test_the_cells_cover_every_position(size):
    for row, column in ((0, 0), (size // 2, size - 1), (size - 1, 1)):
        features = np.zeros((1, size, size, 1), "float32")
        features[0, row, column] = 1.0
        pooled = keras.ops.convert_to_numpy(features_lib.pool_to_grid(features))
        assert pooled.shape == (1, 3, 3, 1)
        assert pooled.max() == 1.0


def test_too_small_features_are_refused_with_the_remedy():
    with pytest.raises(ValueError, match="2 x 6.*output stride"):
        features_lib.pool_to_grid(np.zeros((1, 2, 6, 1), "float32"))


def test_features_are_the_units_pooled_and_leave_the_trunk_alone():
    keras.utils.set_random_seed(0)
    trunk = trunk_lib.build_trunk(
        model_config.TrunkConfig(50, num_units=(1, 1, 2), width=0.125)
    )
    contract = input_contract.InputContract()
    before = [weight.copy() for weight in trunk.get_weights()]
    images = np.random.default_rng(0).integers(0, 256, (5, 64, 64, 3), "uint8")
    names = ["unit_01", "unit_02"]
    extract = features_lib.build_extractor(trunk, contract, names)
    batches = tf.data.Dataset.from_tensor_slices(
        (images, np.arange(5, dtype="int32"))
    ).batch(2)
    features, classes = features_lib.extract_all(extract, batches)
    units = trunk(contract.apply(images), training=False)
    for index, name in enumerate(names):
        want = tf.reshape(features_lib.pool_to_grid(units[name]), [5, -1])
        np.testing.assert_allclose(
            features[:, index], want, rtol=1e-4, atol=1e-5 * np.abs(want).max()
        )
    np.testing.assert_array_equal(classes, np.arange(5))
    for old, new in zip(before, trunk.get_weights()):
        np.testing.assert_array_equal(old, new)
