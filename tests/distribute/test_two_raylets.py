"""A run over a Ray of several nodes that somebody else has started."""

import json
import os
import pathlib
import socket
import subprocess
import sys

import motion_clips
import pytest
import tiny_run

_REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
_FIXTURES = _REPOSITORY / "tests" / "fixtures"


@pytest.fixture(scope="module")
def two_raylets(tmp_path_factory):
    """Returns the environment of who may join, and the head's address."""
    folder = tmp_path_factory.mktemp("ray")
    token = folder / "token"
    token.touch(0o600)
    token.write_text("7" * 64)
    environment = {
        **os.environ,
        "PYTHONPATH": str(_REPOSITORY),
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token),
        "RAY_USAGE_STATS_ENABLED": "0",
        # Who else uses this machine's memory is not these tests' business.
        "RAY_memory_monitor_refresh_ms": "0",
        "RAY_worker_niceness": "0",
    }
    errors = folder / "errors"
    with socket.create_server(("", 0)) as probe:
        port = probe.getsockname()[1]
    with (
        open(errors, "w") as file,
        subprocess.Popen(
            [sys.executable, str(_FIXTURES / "two_raylets.py"), str(port)],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=file,
            text=True,
        ) as cluster,
    ):
        lines = [cluster.stdout.readline()]
        while lines[-1] and f":{port}" not in lines[-1]:
            lines.append(cluster.stdout.readline())
        assert lines[-1], errors.read_text()[-3000:]
        yield environment, lines[-1].strip()
        cluster.stdin.close()


def run_python(environment, *arguments):
    return subprocess.run(
        [sys.executable, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
    )


def train(environment, workdir, address):
    return run_python(
        environment,
        *("-m", "mtssl_tf.train", f"--workdir={workdir}"),
        f"--set=data.cache_dir={workdir.parent / 'cache'}",
        *("--tasks=colorization,exemplar", "--steps=12", *tiny_run.FLAGS),
        # So that no group has all of these few before the other is there.
        *(f"--cluster={address}", "--mode=synchronous"),
    )


def test_a_run_spreads_over_two_nodes(two_raylets, tmp_path):
    """Both groups cannot be on one node: it has two CPUs, one the store's."""
    environment, address = two_raylets
    wrong = {**environment, "RAY_AUTH_TOKEN_PATH": str(tmp_path / "wrong")}
    (tmp_path / "wrong").write_text("8" * 64)
    refused = train(wrong, tmp_path / "run", address)
    assert refused.returncode == 2
    assert "another token than ours" in refused.stderr
    done = train(environment, tmp_path / "run", address)
    assert done.returncode == 0, done.stderr[-3000:]
    status = json.loads((tmp_path / "run" / "status.json").read_text())
    assert status["steps"] == {"colorization": 6, "exemplar": 6}


def test_a_map_tries_again_what_a_process_took_along(two_raylets, tmp_path):
    """And only that: what raises would raise again."""
    environment, address = two_raylets
    script = str(_FIXTURES / "mapped_items.py")
    run = run_python(environment, script, address, str(tmp_path))
    assert run.returncode == 0, run.stderr[-3000:]
    outcomes = json.loads((tmp_path / "outcomes.json").read_text())
    crashed = outcomes.pop("kills")
    assert outcomes == {"works": 1, "raises": "OSError: gone", "kills_once": 2}
    assert "crashed the process that worked on it, 3 times" in crashed
    assert len(list(tmp_path.glob("kills-*"))) == 3


def test_masks_come_over_the_cluster_as_from_one_machine(two_raylets, tmp_path):
    environment, address = two_raylets
    for number in range(3):
        frames, _ = motion_clips.panning_clip(12, (48, 64))
        name = f"pan_{number}"
        motion_clips.save_frames(tmp_path / "videos" / name, frames)
    (tmp_path / "videos" / "broken.mp4").write_bytes(b"no video")
    command = ("-m", "mtssl_tf.masks", f"--videos={tmp_path / 'videos'}")
    records = {}
    for where in ("", address):
        out = tmp_path / f"out{len(where)}"
        run = run_python(
            environment, *command, f"--out={out}", f"--cluster={where}"
        )
        assert run.returncode == 0, run.stderr[-3000:]
        assert "broken: 0 masks of 0 frames (" in run.stderr
        clips = json.loads((out / "manifest.json").read_text())["clips"]
        records[where] = [{**clip, "seconds": 0.0} for clip in clips]
        masks = sorted(out.glob("pan_*/*.png"))
        assert len(masks) == 6
        records[where] += [path.read_bytes() for path in masks]
    assert records[""] == records[address]
