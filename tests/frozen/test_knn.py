"""Votes of the nearest neighbours by hand and by a plain loop."""

import numpy as np

from mtssl_tf.frozen import knn


def test_agrees_with_a_plain_loop(monkeypatch):
    monkeypatch.setattr("mtssl_tf.frozen.knn._CHUNK", 4)  # 10 in 3 parts
    rng = np.random.default_rng(0)
    train = rng.standard_normal((30, 5)).astype("float32")
    test = rng.standard_normal((10, 5)).astype("float32")
    classes = rng.integers(0, 4, 30)
    scores = knn.score_by_neighbours(train, classes, test, 4, 7, 0.2)
    mean = train.mean(axis=0)
    for row, example in zip(scores, test - mean):
        cosines = [
            np.dot(example, other)
            / np.linalg.norm(example)
            / np.linalg.norm(other)
            for other in train - mean
        ]
        want = np.zeros(4)
        for index in np.argsort(cosines)[-7:]:
            want[classes[index]] += np.exp((cosines[index] - 1.0) / 0.2)
        np.testing.assert_allclose(row, want, rtol=1e-4)


def test_a_picture_votes_for_itself_most():
    rng = np.random.default_rng(1)
    train = rng.standard_normal((40, 16)).astype("float32")
    classes = np.arange(40) % 8
    scores = knn.score_by_neighbours(train, classes, train, 8)
    np.testing.assert_array_equal(scores.argmax(axis=1), classes)


def test_scale_and_common_part_of_the_features_do_not_matter():
    rng = np.random.default_rng(2)
    train = rng.standard_normal((30, 5)).astype("float32")
    test = rng.standard_normal((6, 5)).astype("float32")
    classes = np.arange(30) % 3
    plain = knn.score_by_neighbours(train, classes, test, 3)
    moved = knn.score_by_neighbours(8 * train + 4, classes, 8 * test + 4, 3)
    np.testing.assert_allclose(plain, moved, rtol=1e-4)


def test_more_neighbours_than_pictures_takes_all():
    train = np.eye(3, dtype="float32")
    scores = knn.score_by_neighbours(train, np.array([0, 1, 1]), train, 2, 50)
    assert scores.shape == (3, 2) and (scores > 0).all()
