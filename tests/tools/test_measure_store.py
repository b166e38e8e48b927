"""The tools that time the store, on small trunks: each prints its figures."""

import pathlib
import re
import subprocess
import sys

_ROOT = pathlib.Path(__file__).resolve().parents[2]


def _run(tool, *arguments):
    # They fork before TensorFlow starts, so each needs a process of its own.
    done = subprocess.run(
        [sys.executable, "-m", f"tools.{tool}", *arguments],
        cwd=_ROOT,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_measure_store_times_an_exchange_beside_tcp():
    out = _run("measure_store", "--floats=1500000", "--shards=2")
    assert out.startswith("1500000 floats, 2 shards: ")
    push, commit, pull, total, tcp, ratio = map(
        float, re.findall(r"([\d.]+) (?:s\b|times)", out)
    )
    assert min(push, commit, pull, tcp) > 0
    assert abs(push + commit + pull - total) < 0.002
    assert abs(total / tcp - ratio) < 0.1 + 0.001 * ratio / tcp


def test_check_simulation_compares_each_group():
    out = _run(
        "check_simulation",
        "--floats=100000",
        "--compute_s=0.05,0.15",
        "--duration_s=3",
    )
    rates = [
        tuple(map(float, pair))
        for pair in re.findall(r"([\d.]+) steps/s measured, ([\d.]+)", out)
    ]
    assert len(rates) == 2
    for (measured, predicted), compute_s in zip(rates, (0.05, 0.15)):
        # No exchange is free, for the store or for its model.
        assert 0 < measured < 1 / compute_s
        assert 0 < predicted < 1 / compute_s
