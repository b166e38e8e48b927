"""Statistics of channels, against NumPy on all values at once."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from mtssl_tf.frozen import features as features_lib
from mtssl_tf.frozen import reading as reading_lib
from mtssl_tf.frozen import statistics as statistics_lib
from mtssl_tf.frozen import vectors as vectors_lib
from mtssl_tf.models import config as model_config
from mtssl_tf.models import input_contract
from mtssl_tf.models import trunk as trunk_lib

_CONTRACT = input_contract.InputContract()
_READINGS = [
    reading_lib.of_unit("unit_01"),
    reading_lib.of_mix("some", [0.6, -0.8], ["unit_01", "unit_02"]),
]


@pytest.fixture(scope="module")
def trunk():
    keras.utils.set_random_seed(0)
    return trunk_lib.build_trunk(
        model_config.TrunkConfig(50, num_units=(1, 1, 2), width=0.125)
    )


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 256, (5, 64, 48, 3), "uint8")


@pytest.fixture(scope="module")
def features(trunk, images):
    units = trunk(_CONTRACT.apply(images), training=False)
    one, two = (np.asarray(units[f"unit_0{n}"], np.float64) for n in (1, 2))
    return {"unit_01": one, "lasso_some": 0.6 * one - 0.8 * two}


@pytest.fixture(scope="module")
def measured(trunk, images):
    numbers = np.arange(len(images), dtype="int32")
    batches = tf.data.Dataset.from_tensor_slices((images, numbers)).batch(2)
    return statistics_lib.measure(trunk, _CONTRACT, _READINGS, batches)


def test_they_are_those_of_all_positions_of_all_pictures(measured, features):
    assert measured.keys() == features.keys()
    for name, values in features.items():
        found = measured[name]
        assert found.num_pictures == 5
        flat = values.reshape(-1, values.shape[-1])
        scale = flat.std()
        np.testing.assert_allclose(found.mean, flat.mean(0), atol=1e-5 * scale)
        np.testing.assert_allclose(
            found.variance, flat.var(0), rtol=1e-4, atol=1e-5 * scale**2
        )


@pytest.mark.parametrize("reading", _READINGS, ids=lambda each: each.name)
@pytest.mark.parametrize("pool", vectors_lib.POOLS)
def test_a_vector_is_standardised_rectified_and_pooled(
    trunk, images, measured, features, reading, pool
):
    extract = vectors_lib.build_vectors(
        trunk, _CONTRACT, reading, pool, measured[reading.name], (64, 48)
    )
    values = features[reading.name]
    flat = values.reshape(-1, values.shape[-1])
    standard = (values - flat.mean(0)) / np.sqrt(flat.var(0) + 1e-5)
    positive = np.maximum(standard, 0)  # [5, 4, 3, C]
    expected = {
        "mean": positive.mean((1, 2)),
        "max": positive.max((1, 2)),
        # Rows 0-1, 1-2, 2-3; columns of their own.
        "grid3": np.stack(
            [positive[:, n : n + 2].max(1) for n in range(3)], axis=1
        ).reshape(5, -1),
    }[pool]
    got = extract(tf.constant(images))
    assert got.dtype == tf.float32
    np.testing.assert_allclose(got, expected, atol=2e-4, rtol=1e-3)


def test_raw_and_pooled_to_a_grid_is_what_the_linear_evaluation_reads(
    trunk, images
):
    names = ["unit_02"]
    fast = features_lib.build_extractor(trunk, _CONTRACT, names)
    own = vectors_lib.build_vectors(
        trunk,
        _CONTRACT,
        reading_lib.of_unit("unit_02"),
        "grid3",
        None,
        (64, 48),
    )
    expected = fast(tf.constant(images))[:, 0]
    scale = np.abs(expected).max()
    np.testing.assert_allclose(
        own(tf.constant(images)), expected, rtol=0, atol=1e-6 * scale
    )


def test_they_are_kept_in_a_file(measured, tmp_path):
    path = tmp_path / "statistics.npz"
    statistics_lib.save(measured, path)
    for name, each in statistics_lib.load(path).items():
        np.testing.assert_array_equal(each.mean, measured[name].mean)
        np.testing.assert_array_equal(each.variance, measured[name].variance)
        assert each.num_pictures == 5
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(
        ValueError, match="statistics.npz is damaged.*Make it anew"
    ):
        statistics_lib.load(path)
