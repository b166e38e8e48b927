"""A whole run on this machine: a worker is killed, and nothing is lost."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest
import tensorflow as tf
import tiny_run

from mtssl_tf.data import sample_set
from mtssl_tf.reports import metrics_log

_ROOT = pathlib.Path(__file__).resolve().parents[2]
_TASKS = ("colorization", "exemplar")
_PATIENCE_S = 240


@pytest.fixture(scope="module")
def arguments(tmp_path_factory):
    folder = tmp_path_factory.mktemp("local_run")
    samples = sample_set.build_sample_set(folder)
    settings = ["train.log_every=4", "train.save_every=40"]
    settings += [f"{task}.batch_size=4" for task in _TASKS]
    return [
        f"--tasks={','.join(_TASKS)}",
        f"--images={samples.images}",
        f"--workdir={folder / 'run'}",
        "--lasso",
        *tiny_run.FLAGS,
        *(f"--set={each}" for each in settings),
    ]


def _start(arguments, *more):
    return subprocess.Popen(
        [sys.executable, "-m", "mtssl_tf.train", *arguments, *more],
        env={**os.environ, "PYTHONPATH": str(_ROOT)},
        stderr=subprocess.PIPE,
        text=True,
    )


def _wait_for(path, process, is_there):
    """Waits until `status.json` says what is wanted; returns it."""
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()[1][-3000:]
        if path.exists():
            status = json.loads(path.read_text())
            if is_there(status):
                return status
        time.sleep(0.2)
    process.kill()
    pytest.fail(f"{status}\n{process.communicate()[1][-3000:]}")


def test_a_run_outlives_a_worker_and_one_machine_goes_on(arguments):
    workdir = pathlib.Path(arguments[2].partition("=")[2])
    path = workdir / "status.json"
    process = _start(
        arguments, "--steps=100000", "--cluster=local", "--workers=exemplar:2"
    )
    status = _wait_for(path, process, lambda s: min(s["steps"].values()) >= 5)
    roles = status["roles"]
    assert {"store/0", "coordinator", "exemplar/1"} <= roles.keys()
    os.kill(roles["exemplar/1"]["pid"], signal.SIGKILL)
    before = status["steps"]
    # The group goes on with other processes, and so did the other meanwhile.
    status = _wait_for(
        path,
        process,
        lambda s: s["steps"]["exemplar"] >= before["exemplar"] + 5,
    )
    assert status["steps"]["colorization"] > before["colorization"]
    assert status["roles"]["exemplar/1"] != roles["exemplar/1"]
    # The whole process group, as schedulers do; Ray must not hear it.
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=_PATIENCE_S)
    assert process.returncode == 128 + signal.SIGTERM, said[-3000:]
    assert "saved, stopped by SIGTERM" in said

    lines = [
        line
        for line in metrics_log.load_metrics(workdir)
        if line["split"] == "train"
    ]
    assert {line["task"] for line in lines} == set(_TASKS)
    # Figure 4 can be drawn of it.
    assert all(line["task"] in line["mixing_weights"] for line in lines)

    done = sum(json.loads(path.read_text())["steps"].values())
    latest = tf.train.latest_checkpoint(str(workdir / "checkpoints"))
    assert latest.endswith(f"ckpt-{done}")
    resumed = _start(arguments, f"--steps={done + 2}")
    _, said = resumed.communicate(timeout=_PATIENCE_S)
    assert resumed.returncode == 0, said[-3000:]
    assert f"Going on from step {done}." in said
