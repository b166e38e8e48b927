"""The fast linear classifier against scikit-learn and its own gradient."""

import keras
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from mtssl_tf.frozen import features as features_lib
from mtssl_tf.frozen import labelled_pictures
from mtssl_tf.frozen import views
from mtssl_tf.frozen.accuracy import hits
from mtssl_tf.frozen.accuracy import percent
from mtssl_tf.frozen.softmax_regression import fit_softmax_regression
from mtssl_tf.frozen.softmax_regression import L2
from mtssl_tf.input_contract import InputContract
from mtssl_tf.trunk import build_trunk
from mtssl_tf.trunk import TrunkConfig


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
    ours = fit_softmax_regression(features[train], classes[train], 8, L2)
    standardised = (features - ours.mean) / ours.std
    theirs = LogisticRegression(C=1.0 / (L2 * 400), tol=1e-6, max_iter=1000)
    theirs.fit(standardised[train], classes[train])
    np.testing.assert_allclose(ours.weights, theirs.coef_.T, atol=2e-3)
    our_top1 = percent(hits(ours.logits(features[test]), classes[test], 1))
    their_top1 = 100.0 * theirs.score(standardised[test], classes[test])
    assert abs(our_top1 - their_top1) <= 1.0
    assert our_top1 > 40.0  # chance is 12.5


def _real_features(folder):
    """Features of a random trunk: float32 [n, D], int32 [n]."""
    names, paths, classes = [], [], []
    by_class = labelled_pictures.find_class_folders(folder)
    for name in list(by_class)[:20]:
        found = by_class[name][:15]
        paths += found
        classes += [len(names)] * len(found)
        names.append(name)
    pictures = labelled_pictures.from_paths(folder, names, paths, classes)
    keras.utils.set_random_seed(0)
    trunk = build_trunk(TrunkConfig(50, num_units=(1, 1, 2), width=0.125))
    extract = features_lib.build_extractor(
        trunk, InputContract(), [max(trunk.output)]
    )
    batches = views.centre_view_batches(pictures, 96, 96, 64)
    features, classes = features_lib.extract_all(extract, batches)
    return features[:, 0], classes


def test_agrees_with_scikit_learn_on_real_pictures(shared_data):
    train, test = (
        _real_features(str(shared_data / "caltech" / part))
        for part in ("train", "test")
    )
    ours = fit_softmax_regression(*train, 20, L2)
    theirs = LogisticRegression(
        C=1.0 / (L2 * len(train[0])), tol=1e-4, max_iter=1000
    )
    theirs.fit((train[0] - ours.mean) / ours.std, train[1])
    our_top1 = percent(hits(ours.logits(test[0]), test[1], 1))
    their_top1 = 100.0 * theirs.score(
        (test[0] - ours.mean) / ours.std, test[1]
    )
    assert abs(our_top1 - their_top1) <= 1.0
    assert our_top1 > 25.0  # chance is 5


def test_a_class_without_pictures_is_never_the_best():
    features, classes = _data()
    fitted = fit_softmax_regression(features, classes, 9, L2)
    assert (fitted.logits(features).argmax(axis=1) != 8).all()


def test_a_feature_that_never_changes_does_no_harm():
    features, classes = _data()
    features[:, 3] = 7.0
    fitted = fit_softmax_regression(features, classes, 8, L2)
    assert np.isfinite(fitted.logits(features)).all()


def test_what_cannot_be_fitted_is_named():
    features, classes = _data()
    with pytest.raises(ValueError, match="-0.5"):
        fit_softmax_regression(features, classes, 8, -0.5)
    features[3, 4] = np.nan
    with pytest.raises(ValueError, match="1 of 24000"):
        fit_softmax_regression(features, classes, 8, L2)
