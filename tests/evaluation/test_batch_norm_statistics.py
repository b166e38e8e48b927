"""Re-estimated batch norm statistics against NumPy."""

import keras
import numpy as np
import pytest

from evaluation import batch_norm_statistics


def _model():
    """Two batch norms, one of them in a model of its own."""
    keras.utils.set_random_seed(0)
    inner = keras.Sequential(
        [
            keras.layers.Dense(3),
            keras.layers.BatchNormalization(momentum=0.997),
        ]
    )
    inputs = keras.Input((4,))
    x = keras.layers.BatchNormalization(momentum=0.9)(inputs)
    return keras.Model(inputs, inner(x))


def _batches():
    rng = np.random.default_rng(0)
    shapes = [(k, 1.0 + k, (8, 4)) for k in range(3)]
    return [rng.normal(*shape).astype(np.float32) for shape in shapes]


def test_statistics_are_those_of_all_pictures():
    model, batches = _model(), _batches()
    outer, inner = model.layers[1], model.layers[2].layers[1]
    outer.moving_mean.assign([100.0] * 4)  # what it had must not matter
    batch_norm_statistics.reestimate_batch_norm(model, iter(batches))
    rows = np.concatenate(batches)
    np.testing.assert_allclose(outer.moving_mean, rows.mean(0), rtol=1e-5)
    np.testing.assert_allclose(outer.moving_variance, rows.var(0), rtol=1e-4)
    # What the inner one sees was normalised by each batch's own statistics.
    kernel = model.layers[2].layers[0].kernel.numpy()
    normal = np.concatenate(
        [(b - b.mean(0)) / np.sqrt(b.var(0) + 1e-3) for b in batches]
    )
    variances = (normal @ kernel).var(0)
    np.testing.assert_allclose(inner.moving_variance, variances, rtol=1e-4)


def test_nothing_else_changes():
    model = _model()
    model.trainable = False  # frozen layers are re-estimated all the same
    weights = [
        v.numpy() for v in model.variables if not v.name.startswith("moving")
    ]
    batch_norm_statistics.reestimate_batch_norm(model, _batches())
    assert not model.layers[1].trainable
    assert model.layers[1].momentum == 0.9
    assert model.layers[2].layers[1].momentum == 0.997
    after = [v for v in model.variables if not v.name.startswith("moving")]
    for before, variable in zip(weights, after, strict=True):
        np.testing.assert_array_equal(before, variable)


def test_one_batch_makes_inference_equal_training():
    model, batch = _model(), _batches()[1]
    batch_norm_statistics.reestimate_batch_norm(model, [batch])
    np.testing.assert_allclose(
        model(batch, training=False), model(batch, training=True), atol=1e-5
    )


def test_no_batch_is_an_error():
    with pytest.raises(ValueError, match="at least one batch"):
        batch_norm_statistics.reestimate_batch_norm(_model(), [])
