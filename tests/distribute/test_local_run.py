"""A whole run on this machine: a worker is killed, and nothing is lost."""

import contextlib
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

from mtssl_tf.reports import metrics_log

_ROOT = pathlib.Path(__file__).resolve().parents[2]
_TASKS = ("colorization", "exemplar")
_PATIENCE_S = 600


@pytest.fixture(scope="module")
def arguments(samples, tmp_path_factory):
    folder = tmp_path_factory.mktemp("local_run")
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


@contextlib.contextmanager
def _started(said, arguments, *more):
    """The command, whose standard error goes to a file; nothing outlives it."""
    with (
        open(said, "w") as errors,
        subprocess.Popen(
            [sys.executable, "-m", "mtssl_tf.train", *arguments, *more],
            env={**os.environ, "PYTHONPATH": str(_ROOT)},
            stderr=errors,
        ) as process,
    ):
        try:
            yield process
        finally:
            process.kill()  # a Ray of its own goes with it


def _wait_for(path, process, said, is_there):
    """Waits until `status.json` says what is wanted; returns it."""
    deadline = time.monotonic() + _PATIENCE_S
    status = None
    while process.poll() is None and time.monotonic() < deadline:
        if path.exists():
            status = json.loads(path.read_text())
            if is_there(status):
                return status
        time.sleep(0.2)
    pytest.fail(f"{status}\n{said.read_text()[-3000:]}")


def test_a_run_outlives_a_worker_and_one_machine_goes_on(
    arguments, tmp_path, train_here
):
    workdir = pathlib.Path(arguments[2].partition("=")[2])
    path, said = workdir / "status.json", tmp_path / "said"
    more = ("--steps=100000", "--cluster=local", "--workers=exemplar:2")
    with _started(said, arguments, *more) as process:
        status = _wait_for(
            path, process, said, lambda s: min(s["steps"].values()) >= 5
        )
        roles = status["roles"]
        assert {"store/0", "coordinator", "exemplar/1"} <= roles.keys()
        os.kill(roles["exemplar/1"]["pid"], signal.SIGKILL)
        before = status["steps"]
        # The group goes on with other processes, and so does the other
        # meanwhile. All of it is awaited: steps that were under way when the
        # worker was killed are counted before it is missed.
        lost = roles["exemplar/1"]
        _wait_for(
            path,
            process,
            said,
            lambda s: (
                all(s["steps"][task] > before[task] + 5 for task in _TASKS)
                and s["roles"].get("exemplar/1", lost) != lost
            ),
        )
        # The whole process group, as schedulers do; Ray must not hear it.
        process.send_signal(signal.SIGTERM)
        code = process.wait(timeout=_PATIENCE_S)
        assert code == 128 + signal.SIGTERM, said.read_text()[-3000:]
    assert "saved, stopped by SIGTERM" in said.read_text()

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
    code, _, log = train_here(*arguments, f"--steps={done + 2}")
    assert code == 0, log
    assert f"Going on from step {done}." in log
