"""The fast linear classifier: its objective, its gradient, its corners."""

import pathlib

import keras
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from mtssl_tf.data import open_source
from mtssl_tf.data import skipped as skipped_lib
from mtssl_tf.frozen import accuracy
from mtssl_tf.frozen import features as features_lib
from mtssl_tf.frozen import softmax_regression
from mtssl_tf.frozen import views
from mtssl_tf.models import config as model_config
from mtssl_tf.models import input_contract
from mtssl_tf.models import trunk as trunk_lib


def _data(seed=0, num_pictures=400, num_features=60, num_classes=8):
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((num_classes, num_features))
    classes = rng.integers(0, num_classes, num_pictures)
    noise = 3.0 * rng.standard_normal((num_pictures, num_features))
    scale = 10.0 ** rng.uniform(-2, 2, num_features)  # as units differ
    features = (centres[classes] + noise) * scale + 5.0 * scale
    return features.astype("float32"), classes


def test_agrees_with_scikit_learn():
    features, classes = _data(num_pictures=800)
    train, test = slice(0, 400), slice(400, 800)
    ours = softmax_regression.fit_softmax_regression(
        features[train], classes[train], 8, softmax_regression.L2
    )
    standardised = (features - ours.mean) / ours.std
    theirs = LogisticRegression(
        C=1.0 / (softmax_regression.L2 * 400), tol=1e-6, max_iter=1000
    )
    theirs.fit(standardised[train], classes[train])
    np.testing.assert_allclose(ours.weights, theirs.coef_.T, atol=2e-3)
    our_top1 = accuracy.percent(
        accuracy.hits(ours.logits(features[test]), classes[test], 1)
    )
    their_top1 = 100.0 * theirs.score(standardised[test], classes[test])
    assert abs(our_top1 - their_top1) <= 1.0
    assert our_top1 > 40.0  # chance is 12.5


@pytest.mark.parametrize("num_classes", [2, 3, 8])
@pytest.mark.parametrize("l2", [0.3, 0.003])
def test_nothing_pulls_at_what_was_fitted(num_classes, l2):
    features, classes = _data(num_classes=num_classes)
    fitted = softmax_regression.fit_softmax_regression(
        features, classes, num_classes, l2, max_iterations=2000
    )
    logits = fitted.logits(features).astype("float64")
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    error = odds / odds.sum(axis=1, keepdims=True)
    error[np.arange(len(classes)), classes] -= 1
    standardised = (features - fitted.mean) / fitted.std
    pull = standardised.T @ error / len(classes)
    np.testing.assert_allclose(pull, -l2 * fitted.weights, atol=2e-4)
    np.testing.assert_allclose(error.mean(axis=0), 0.0, atol=2e-4)


def _real_features(folder):
    """Features of a random trunk: float32 [n, D], int32 [n]."""
    source = open_source.open_labelled(folder)
    names = np.array([pathlib.Path(name).parts[0] for name in source.names])
    chosen = [
        np.flatnonzero(names == name)[:15] for name in source.class_names[:20]
    ]
    pictures = source.subset(np.concatenate(chosen))
    keras.utils.set_random_seed(0)
    trunk = trunk_lib.build_trunk(
        model_config.TrunkConfig(50, num_units=(1, 1, 2), width=0.125)
    )
    extract = features_lib.build_extractor(
        trunk, input_contract.InputContract(), [max(trunk.output)]
    )
    batches = views.centre_view_batches(
        pictures, 96, 96, 64, skipped_lib.SkippedExamples()
    )
    features, classes = features_lib.extract_all(extract, batches)
    return features[:, 0], classes


def test_agrees_with_scikit_learn_on_real_pictures(shared_data):
    train, test = (
        _real_features(str(shared_data / "caltech" / part))
        for part in ("train", "test")
    )
    ours = softmax_regression.fit_softmax_regression(
        *train, 20, softmax_regression.L2
    )
    theirs = LogisticRegression(
        C=1.0 / (softmax_regression.L2 * len(train[0])), tol=1e-4, max_iter=1000
    )
    theirs.fit((train[0] - ours.mean) / ours.std, train[1])
    our_top1 = accuracy.percent(accuracy.hits(ours.logits(test[0]), test[1], 1))
    their_top1 = 100.0 * theirs.score((test[0] - ours.mean) / ours.std, test[1])
    assert abs(our_top1 - their_top1) <= 1.0
    assert our_top1 > 25.0  # chance is 5


@pytest.mark.parametrize("num_classes", [1, 2, 8])
def test_a_class_without_pictures_is_never_the_best(num_classes):
    features, classes = _data(num_classes=num_classes)
    fitted = softmax_regression.fit_softmax_regression(
        features, classes + 1, num_classes + 2, softmax_regression.L2
    )
    logits = fitted.logits(features)
    assert logits.shape == (400, num_classes + 2)
    absent = logits[:, [0, num_classes + 1]]
    assert np.isfinite(absent).all()
    assert (absent.max(axis=1) < logits.max(axis=1) - 5.0).all()


def test_too_few_iterations_give_what_there_is(recwarn):
    features, classes = _data()
    fitted = softmax_regression.fit_softmax_regression(
        features, classes, 8, softmax_regression.L2, max_iterations=3
    )
    hits = accuracy.hits(fitted.logits(features), classes, 1)
    assert accuracy.percent(hits) > 25.0  # chance is 12.5
    assert not [w for w in recwarn if issubclass(w.category, RuntimeWarning)]


def test_a_feature_that_never_changes_does_no_harm():
    features, classes = _data()
    features[:, 3] = 7.0
    fitted = softmax_regression.fit_softmax_regression(
        features, classes, 8, softmax_regression.L2
    )
    assert np.isfinite(fitted.logits(features)).all()


def test_what_cannot_be_fitted_is_named():
    features, classes = _data()
    with pytest.raises(ValueError, match="-0.5"):
        softmax_regression.fit_softmax_regression(features, classes, 8, -0.5)
    features[3, 4] = np.nan
    with pytest.raises(ValueError, match="1 of 24000"):
        softmax_regression.fit_softmax_regression(
            features, classes, 8, softmax_regression.L2
        )
