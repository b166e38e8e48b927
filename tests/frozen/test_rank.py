"""RankMe and the collapse figures, against hand computation and NumPy's SVD."""

import math

import numpy as np
import pytest

from mtssl_tf.data import source as source_lib
from mtssl_tf.frozen import rank


def test_rankme_is_exp_of_the_entropy_of_the_singular_values():
    random = np.random.default_rng(0)
    for shape in ((40, 12), (12, 40), (30, 30)):
        vectors = random.normal(size=shape) * random.exponential(size=shape[1])
        singular = np.linalg.svd(vectors, compute_uv=False)
        shares = singular / singular.sum() + 1e-7
        expected = math.exp(-(shares * np.log(shares)).sum())
        found = rank.rankme(vectors.astype(np.float32))
        assert found == pytest.approx(expected, rel=1e-4)


def test_rankme_by_hand():
    # Singular values 3 and 1: shares 3/4 and 1/4.
    vectors = np.array([[3.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
    entropy = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    assert rank.rankme(vectors) == pytest.approx(math.exp(entropy), rel=1e-5)
    assert rank.rankme(np.eye(8)) == pytest.approx(8, rel=1e-4)
    assert rank.rankme(np.ones([50, 20])) == pytest.approx(1, rel=1e-4)
    assert rank.rankme(np.zeros([50, 20])) == pytest.approx(1, rel=1e-3)
    assert math.isnan(rank.rankme(np.array([[1.0, np.inf]])))


def test_rankme_knows_neither_scale_nor_turn_nor_order():
    random = np.random.default_rng(1)
    vectors = random.normal(size=(60, 9))
    turn, _ = np.linalg.qr(random.normal(size=(9, 9)))
    expected = rank.rankme(vectors)
    for other in (vectors * 1e4, vectors @ turn, vectors[::-1]):
        assert rank.rankme(other) == pytest.approx(expected, rel=1e-6)


def test_collapse_figures_against_every_pair():
    random = np.random.default_rng(2)
    vectors = random.normal(size=(20, 5)) + 1.0
    figures = rank.measure(vectors)
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = [units[i] @ units[j] for i in range(20) for j in range(i)]
    assert figures.mean_cosine == pytest.approx(np.mean(cosines))
    spread = np.mean([np.std(units[:, k]) for k in range(5)]) * math.sqrt(5)
    assert figures.spread == pytest.approx(spread)
    assert (figures.pictures, figures.most) == (20, 5)


def test_vectors_that_point_everywhere_and_one_that_all_share():
    random = np.random.default_rng(3)
    everywhere = rank.measure(random.normal(size=(2000, 64)))
    assert everywhere.spread == pytest.approx(1, abs=0.02)
    assert everywhere.mean_cosine == pytest.approx(0, abs=0.01)
    same = rank.measure(np.full([10, 4], 2.0))
    assert (same.spread, same.mean_cosine) == pytest.approx((0, 1))
    one = rank.measure(np.array([[1.0, 2.0]]))
    assert one.pictures == 1 and one.rankme == pytest.approx(1, rel=1e-4)


def test_what_is_no_number_is_null():
    entries = rank.measure(np.array([[1.0, np.nan], [0.0, 1.0]])).entries()
    assert entries["rankme"] is None and entries["pictures"] == 2


def test_held_out_pictures_are_chosen_first_and_the_same_ones():
    names = [f"{number}.jpg" for number in range(1000)]
    hashes = source_lib.hash_names(names)
    is_held_out = source_lib.choose_held_out(hashes, 0.05)
    chosen = rank.choose(hashes, 100)
    assert set(np.flatnonzero(is_held_out)) < set(chosen)
    # More pictures change nothing about those that stay chosen.
    more = source_lib.hash_names([*names, "new.jpg"])
    assert len(set(chosen) - set(rank.choose(more, 100))) <= 1
    assert rank.choose(hashes).tolist() == list(range(1000))
