"""The simulation on cases that are worked out by hand."""

import pytest

from tools import simulate_store

_FAST = simulate_store.Rates(1e12, 1e12, 1e12, 1e12)


def _store(**changes):
    settings = {
        "num_floats": 1000,
        "num_shards": 1,
        "link": 1e12,
        "rates": _FAST,
        **changes,
    }
    return simulate_store.Store(**settings)


def _rate(groups, **changes):
    return simulate_store.simulate(groups, _store(**changes), 1000.0)


def test_a_group_alone_takes_the_sum_of_its_phases():
    # 4000 bytes: copied twice in 0.5 s, sent twice in 2 s, applied in 1 s,
    # put in 4 s.
    rates = simulate_store.Rates(8000.0, 2000.0, 1000.0, 1000.0)
    group = simulate_store.Group("a", 2.0, 1)
    found = _rate([group], rates=rates)
    assert found["a"] == pytest.approx(1 / 12, rel=0.02)


def test_a_slow_link_counts_where_ray_is_fast():
    # 1 s each way, and 2 (H - 1) / H = 1 s for the sum over two hosts, each
    # of which fetches from the one shard.
    group = simulate_store.Group("a", 2.0, 2)
    found = _rate([group], link=4000.0)
    assert found["a"] == pytest.approx(1 / (2 + 1 + 2 + 1), rel=0.02)


def test_bfloat16_halves_the_gradient_alone():
    group = simulate_store.Group("a", 2.0, 1)
    found = _rate([group], link=4000.0, gradient_bytes=2)
    assert found["a"] == pytest.approx(1 / (2 + 0.5 + 1), rel=0.02)


def test_groups_share_a_shard_and_not_their_own_hosts():
    rates = simulate_store.Rates(1e12, 1e12, 500.0, 1e12)  # applied in 2 s
    groups = [simulate_store.Group(name, 0.0, 1) for name in "abc"]
    assert sum(_rate(groups, rates=rates).values()) == pytest.approx(
        1 / 2, rel=0.02
    )
    copying = simulate_store.Rates(2000.0, 1e12, 1e12, 1e12)  # 2 s, twice
    found = _rate(groups, rates=copying)
    assert found["a"] == pytest.approx(1 / 4, rel=0.02)


def test_two_groups_of_one_host_fill_two_shards():
    # Each sends and takes in at 4000 bytes/s, which the two shards have.
    groups = [simulate_store.Group(name, 0.0, 1) for name in "ab"]
    found = _rate(groups, link=4000.0, num_shards=2)
    assert found["a"] == pytest.approx(1 / 2, rel=0.02)


def test_overlap_hides_an_exchange_behind_the_next_step():
    # Applied in 1 s, put in 0.5 s.
    rates = simulate_store.Rates(1e12, 1e12, 1000.0, 8000.0)
    group = simulate_store.Group("a", 3.0, 1)
    found = _rate([group], rates=rates)
    assert found["a"] == pytest.approx(1 / 4.5, rel=0.02)
    found = _rate([group], rates=rates, use_overlap=True)
    assert found["a"] == pytest.approx(1 / 3, rel=0.02)


def test_a_slow_group_does_not_hold_a_fast_one():
    groups = [
        simulate_store.Group("a", 1.0, 1),
        simulate_store.Group("b", 5.0, 1),
    ]
    found = _rate(groups)
    assert found["a"] == pytest.approx(1.0, rel=0.01)
    assert found["b"] == pytest.approx(0.2, rel=0.02)


def test_the_paper_has_four_groups_of_sixteen_gpus():
    groups = simulate_store.paper_groups(1.0, 8)
    assert [group.num_hosts for group in groups] == [2] * 4
    # 8 pictures of 1,281,167 in 350 hours.
    assert groups[0].compute_s == pytest.approx(7.868, rel=1e-3)


def test_help_is_answered_and_other_flags_are_refused(capsys):
    # A kind of fault: it did all its work, whatever was asked.
    assert simulate_store.main([simulate_store.NAME, "--help"]) == 0
    assert "python -m tools.simulate_store" in capsys.readouterr().out
    assert simulate_store.main([simulate_store.NAME, "--gbit=1"]) == 2
    assert "gbit" in capsys.readouterr().err
