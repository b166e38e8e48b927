"""Top-1, recall@5 and confusion on hand-made scores, ties included."""

import numpy as np
import pytest

from evaluation.classification import confusion_picture
from evaluation.classification import metrics as metrics_lib
from mtssl_tf.frozen import accuracy

_NAMES = [f"class_{number}" for number in range(6)]


def test_hits_by_hand():
    scores = np.array([[0.1, 0.9, 0.5, 0.2, 0.3, 0.4]] * 6)
    # Ranks of classes 0 to 5 are 6, 1, 2, 5, 4, 3.
    classes = np.arange(6)
    np.testing.assert_array_equal(
        accuracy.hits(scores, classes, 1), [0, 1, 0, 0, 0, 0]
    )
    np.testing.assert_array_equal(
        accuracy.hits(scores, classes, 5), [0, 1, 1, 1, 1, 1]
    )


def test_ties_count_by_expectation():
    scores = np.array([[3.0, 3.0, 1.0, 1.0, 1.0, 0.0]] * 6)
    classes = np.arange(6)
    np.testing.assert_allclose(
        accuracy.hits(scores, classes, 1), [0.5, 0.5, 0, 0, 0, 0]
    )
    np.testing.assert_allclose(
        accuracy.hits(scores, classes, 4), [1, 1, 2 / 3, 2 / 3, 2 / 3, 0]
    )


@pytest.mark.parametrize("k", [1, 5])
def test_a_constant_classifier_gets_k_out_of_all(k):
    scores = np.zeros((12, 6))
    got = accuracy.hits(scores, np.arange(12) % 6, k)
    np.testing.assert_allclose(got, k / 6)


def test_ties_agree_with_random_orders():
    rng = np.random.default_rng(0)
    scores = rng.integers(0, 3, (20, 6)).astype(float)
    classes = rng.integers(0, 6, 20)
    found = np.zeros(20)
    for _ in range(4000):
        noisy = scores + 1e-3 * rng.random(scores.shape)
        best = np.argsort(-noisy, axis=1)[:, :5]
        found += (best == classes[:, None]).any(axis=1)
    want = accuracy.hits(scores, classes, 5)
    np.testing.assert_allclose(found / 4000, want, atol=0.04)


def test_bad_scores_and_k_are_refused():
    with pytest.raises(ValueError, match="7"):
        accuracy.hits(np.zeros((2, 6)), np.array([0, 1]), 7)
    with pytest.raises(ValueError, match="1 of 2"):
        accuracy.hits(
            np.array([[0.0, np.nan], [0.0, 1.0]]), np.array([0, 1]), 1
        )


def test_metrics_are_percentages_with_one_for_each_class():
    scores = np.eye(6)[[0, 1, 2, 2]]
    classes = np.array([0, 1, 1, 2])
    metrics = metrics_lib.classification_metrics(scores, classes, _NAMES)
    assert metrics["top1"] == 75.0
    assert metrics["per_class_top1"] == {
        "class_0": 100.0,
        "class_1": 50.0,
        "class_2": 100.0,
    }
    # The third picture's class shares five zeros for four places.
    assert metrics["recall_at_5"] == pytest.approx(25 * (3 + 4 / 5))


def test_confusion_shares_ties_and_sums_to_one(tmp_path):
    scores = np.array([[1.0, 0, 0, 0, 0, 0], [0, 1, 1, 0, 0, 0]])
    table = metrics_lib.confusion(scores, np.array([0, 0]), 6)
    np.testing.assert_allclose(table[0], [0.5, 0.25, 0.25, 0, 0, 0])
    assert not table[1:].any()
    confusion_picture.save_confusion(tmp_path / "confusion.png", table, _NAMES)
    assert (tmp_path / "confusion.png").read_bytes()[:4] == b"\x89PNG"


def test_names_of_classes_are_no_formulas(tmp_path):
    """A folder may be called anything; `$...$` was set as mathematics."""
    names = [r"a$\frac{b$", "$x_$", r"r\xe9d", "grün", "two\nlines"]
    confusion_picture.save_confusion(tmp_path / "c.png", np.eye(5), names)
    assert (tmp_path / "c.png").stat().st_size > 1000
