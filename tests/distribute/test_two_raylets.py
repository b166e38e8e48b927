"""A run over a Ray of several nodes that somebody else has started."""

import json
import os
import pathlib
import socket
import subprocess
import sys

import pytest

_REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
_SCRIPT = _REPOSITORY / "tests" / "fixtures" / "two_raylets.py"


@pytest.fixture
def two_raylets(tmp_path):
    """Returns the environment of who may join, and the head's address."""
    token = tmp_path / "token"
    token.touch(0o600)
    token.write_text("7" * 64)
    environment = {
        **os.environ,
        "PYTHONPATH": str(_REPOSITORY),
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token),
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    with socket.create_server(("", 0)) as probe:
        port = probe.getsockname()[1]
    with subprocess.Popen(
        [sys.executable, str(_SCRIPT), str(port)],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as cluster:
        lines = [cluster.stdout.readline()]
        while lines[-1] and f":{port}" not in lines[-1]:
            lines.append(cluster.stdout.readline())
        yield environment, lines[-1].strip()
        cluster.stdin.close()


def run_command(environment, workdir, address, *more):
    return subprocess.run(
        [
            *(sys.executable, "-m", "mtssl_tf.train", f"--workdir={workdir}"),
            *("--tasks=colorization,exemplar", "--steps=12"),
            *(f"--cluster={address}", *more),
        ],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_a_run_spreads_over_two_nodes(two_raylets, tmp_path):
    """Both groups cannot be on one node: it has two CPUs, one the store's."""
    environment, address = two_raylets
    assert address
    wrong = {**environment, "RAY_AUTH_TOKEN_PATH": str(tmp_path / "wrong")}
    (tmp_path / "wrong").write_text("8" * 64)
    refused = run_command(wrong, tmp_path / "run", address)
    assert refused.returncode == 2
    assert "another token than ours" in refused.stderr
    done = run_command(environment, tmp_path / "run", address)
    assert done.returncode == 0, done.stderr[-3000:]
    status = json.loads((tmp_path / "run" / "status.json").read_text())
    assert sum(status["steps"].values()) >= 12
    assert all(status["steps"].values())
