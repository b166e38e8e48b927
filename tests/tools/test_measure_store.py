"""The tools that time the store, on a small trunk and a Ray of their own."""

import importlib.util
import json
import os
import pathlib
import subprocess
import sys

import measured_store
import numpy as np
import pytest

from tools import private_hosts

_ROOT = pathlib.Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def measured():
    if importlib.util.find_spec("ray") is None:
        pytest.skip("Ray is not installed.")
    done = subprocess.run(
        [sys.executable, measured_store.__file__],
        env={**os.environ, "PYTHONPATH": str(_ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.long
def test_an_exchange_gives_the_trunk_that_rmsprop_makes(measured):
    times = measured["times"]
    assert np.shape(times) == (2, 4) and np.min(times) > 0
    random = np.random.default_rng(0)
    gradient = random.standard_normal(measured_store.FLOATS, np.float32)
    trunk, mean_square, momentum = np.ones((3, measured_store.FLOATS))
    for _ in range(2):
        mean_square += 0.1 * (gradient**2 - mean_square)
        momentum = 0.9 * momentum + 1e-4 * gradient / np.sqrt(
            mean_square + 1e-8
        )
        trunk -= momentum
    np.testing.assert_allclose(measured["trunk"], trunk, rtol=1e-5)


@pytest.mark.long
def test_an_exchange_is_timed_beside_tcp(measured):
    found = measured["exchange"]
    assert found["reference"] > 0
    assert found["ratio"] == found["ours"] / found["reference"]
    # No part takes longer than the whole; beside other work medians of parts
    # are too far from that of the whole to add them up.
    phases = found["phases"]
    assert list(phases) == ["stage", "commit", "begin", "fetch"]
    assert 0 < min(phases.values()) and max(phases.values()) < found["ours"]


@pytest.mark.long
def test_exchanges_leave_nothing_behind(measured):
    # A resource that is freed late: Ray frees in batches unless told, and up
    # to 24 trunks and gradients were there at once.
    found = measured["soak"]
    assert found["exchanges"] == 200
    assert found["exchanges_per_s"] > 0
    assert found["live_versions"] <= len(measured_store.TASKS) + 1


@pytest.mark.long
def test_the_simulation_is_held_to_each_group(measured):
    assert len(measured["rates"]) == 2
    for (found, predicted), compute_s in zip(
        measured["rates"], measured_store.COMPUTE_S
    ):
        # No exchange is free, for the store or for its model.
        assert 0 < found < 1 / compute_s
        assert 0 < predicted < 1 / compute_s


def test_a_certificate_is_for_the_addresses(tmp_path):
    settings = private_hosts.make_certificate(tmp_path, ["10.1.2.3"])
    shown = subprocess.run(
        ["openssl", "x509", "-noout", "-text", "-in"]
        + [settings["RAY_TLS_SERVER_CERT"]],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert "IP Address:10.1.2.3" in shown
