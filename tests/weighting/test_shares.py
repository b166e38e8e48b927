"""Shares add up to one, and none starves."""

import numpy as np
import pytest

from mtssl_tf.weighting import shares as shares_lib


def test_without_factors_shares_are_the_weights():
    got, held_up = shares_lib.shares({"a": 3.0, "b": 1.0}, {}, 0.2)
    assert got == {"a": 0.75, "b": 0.25} and not held_up


def test_factors_are_on_weights_and_a_missing_one_is_their_mean():
    weights = {"a": 2.0, "b": 1.0, "c": 1.0}
    got, _ = shares_lib.shares(weights, {"a": 1.0, "b": 3.0}, 0.1)
    # 2 x 1, 1 x 3, and 1 x 2 of the one that is not known.
    assert got == pytest.approx({"a": 2 / 7, "b": 3 / 7, "c": 2 / 7})


def test_who_would_starve_gets_the_least_and_the_others_pay():
    weights = dict.fromkeys("abcd", 1.0)
    factors = {"a": 100.0, "b": 10.0, "c": 6.0, "d": 0.01}
    got, held_up = shares_lib.shares(weights, factors, 0.2)
    # At first d alone is below 0.05; what it gets brings nobody else down
    # but c, which has 6 / 116 x 0.95 = 0.049.
    assert held_up == ["d", "c"]
    assert got == pytest.approx(
        {"a": 0.9 * 100 / 110, "b": 0.9 * 10 / 110, "c": 0.05, "d": 0.05}
    )


@pytest.mark.parametrize("seed", range(20))
def test_any_factors_keep_the_sum_and_the_least(seed):
    random = np.random.default_rng(seed)
    names = [str(n) for n in range(2 + seed % 9)]
    weights = {name: float(random.uniform(0.1, 12)) for name in names}
    factors = {name: float(10 ** random.uniform(-6, 6)) for name in names}
    least = float(random.uniform(0.01, 0.99))
    got, held_up = shares_lib.shares(weights, factors, least)
    assert list(got) == names
    assert sum(got.values()) == pytest.approx(1)
    for name in names:
        floor = least * weights[name] / sum(weights.values())
        assert got[name] >= floor * (1 - 1e-12)
        assert (name in held_up) == (got[name] == pytest.approx(floor))
