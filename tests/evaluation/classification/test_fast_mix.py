"""The mix of cached features finds the units that know the class."""

import numpy as np

from evaluation.classification import fast_mix
from mtssl_tf.models import config as model_config


def _units(seed=0, num_pictures=400, num_units=6, num_features=12):
    """Units of noise, two of which also show the class."""
    rng = np.random.default_rng(seed)
    classes = rng.integers(0, 5, num_pictures, "int32")
    centres = rng.standard_normal((5, num_features))
    units = rng.standard_normal((num_pictures, num_units, num_features))
    units[:, 1] += centres[classes]
    units[:, 4] -= centres[classes]
    return units.astype("float32"), classes


def test_informed_units_stay_and_others_are_off():
    units, classes = _units()
    mix = fast_mix.learn_mix(
        units, classes, 5, model_config.LassoConfig(l1=0.05), 0.1, 6, 0
    )
    assert mix.dtype == np.float32
    assert abs(np.linalg.norm(mix.astype("float64")) - 1.0) < 1e-6
    assert set(np.flatnonzero(mix)) == {1, 4}
    # The two show the class with opposite signs; together they show it best.
    assert mix[1] * mix[4] < 0
    np.testing.assert_allclose(np.abs(mix[[1, 4]]), np.sqrt(0.5), atol=0.15)


def test_applying_is_the_weighted_sum():
    units, _ = _units(num_pictures=3)
    mix = np.array([0.6, 0.0, 0.0, -0.8, 0.0, 0.0], "float32")
    want = 0.6 * units[:, 0] - 0.8 * units[:, 3]
    np.testing.assert_allclose(fast_mix.apply_mix(units, mix), want, atol=1e-5)
