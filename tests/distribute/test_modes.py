"""Every mode from the command to its last checkpoint, and what it computes."""

import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import tiny_run

from mtssl_tf import pretrained
from mtssl_tf.reports import metrics_log
from mtssl_tf.training import checkpoint
from mtssl_tf.training import cost_table
from mtssl_tf.training import run_directory

pytestmark = pytest.mark.long

_ROOT = pathlib.Path(__file__).resolve().parents[2]
_TASKS = ("colorization", "exemplar")
_STEPS = 12


@pytest.fixture(scope="module")
def train(samples, tmp_path_factory):
    """Returns (name, flags) -> run directory, for short runs of one kind."""
    settings = [
        "train.log_every=2",
        *(f"{task}.batch_size=4" for task in _TASKS),
    ]

    def run(name, *more, tasks=_TASKS):
        workdir = tmp_path_factory.getbasetemp() / name
        done = subprocess.run(
            [
                *(sys.executable, "-m", "mtssl_tf.train"),
                *tiny_run.FLAGS,
                f"--tasks={','.join(tasks)}",
                f"--images={samples.images}",
                f"--workdir={workdir}",
                f"--steps={_STEPS}",
                *(f"--set={each}" for each in settings),
                *more,
            ],
            env={**os.environ, "PYTHONPATH": str(_ROOT)},
            capture_output=True,
            text=True,
            timeout=400,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return workdir

    return run


def _trunk(workdir):
    """Returns what is trained of a run's trunk, by name."""
    trunk = pretrained.load_pretrained(str(workdir)).trunk
    return {v.path: np.asarray(v) for v in trunk.trainable_variables}


def _difference(one, other):
    """Returns the largest, relative to the largest value of its tensor.

    Biases before a batch norm have no gradient but rounding, which RMSProp
    makes steps of: they stay under 1e-6, and are left out.
    """
    assert one.keys() == other.keys()
    largest = {name: np.abs(value).max() for name, value in one.items()}
    return max(
        float(np.abs(one[name] - other[name]).max() / scale)
        for name, scale in largest.items()
        if scale > 1e-6
    )


@pytest.mark.parametrize(
    "flags",
    [
        ("--mode=synchronous", "--workers=2", "--batch_norm=synchronized"),
        ("--mode=asynchronous", "--workers=2", "--store_shards=2"),
        ("--workers=colorization:1-2", "--overlap", "--wire=bfloat16"),
        (
            "--weighting=gradient_consistency",
            "--workers=colorization:2",
            "--set=train.weigh_every=20",
            "--steps=80",  # so that some task has its 25th
        ),
    ],
    ids=lambda flags: flags[0].lstrip("-"),
)
def test_a_mode_trains_every_task_and_one_machine_goes_on(train, flags):
    name = flags[0].lstrip("-").replace(":", "_")
    workdir = train(name, "--cluster=local", *flags)
    status = json.loads((workdir / "status.json").read_text())
    assert status["is_over"] and not status["message"]
    # Which task has how many of so few is a matter of who is there first.
    assert sum(status["steps"].values()) >= _STEPS
    losses = {
        line["task"]: line["loss"]
        for line in metrics_log.load_metrics(workdir)
        if line["split"] == "train"
    }
    assert losses and np.isfinite(list(losses.values())).all()
    assert checkpoint.latest(workdir)
    weighed = [f for f in flags if f.startswith(("--weighting", "--set"))]
    cosines = [
        line["weighting"]
        for line in metrics_log.load_metrics(workdir)
        if line["split"] == "weighting"
    ]
    assert any(cosines) == bool(weighed)
    before = _trunk(workdir)
    steps = sum(status["steps"].values()) + 2
    after = _trunk(train(name, *weighed, f"--steps={steps}"))
    assert _difference(before, after) > 0


def test_turns_on_two_shards_compute_what_one_process_does(train):
    # As many threads as a worker has: batch norm adds up in another order
    # with another number of them, which moves a step by 1e-5.
    threads = f"--set=train.intra_op_threads={max(2, os.cpu_count() or 1)}"
    one = _trunk(train("one", "--steps=2", threads))
    flags = ("--cluster=local", "--mode=turns", "--store_shards=2")
    difference = _difference(one, _trunk(train("turns", "--steps=2", *flags)))
    print(f"turns on two shards against one process: {difference:.1e}")
    assert difference <= 1e-6


def test_turns_by_moving_shares_are_those_of_one_process(train):
    flags = ("--weighting=gradnorm", "--set=train.weigh_every=3")
    alone = train("alone", *flags)
    turns = train("weighed", *flags, "--cluster=local", "--mode=turns")
    one, other = (
        [
            (line["step"], line["shares"])
            for line in metrics_log.load_metrics(workdir)
            if line["split"] == "shares"
        ]
        for workdir in (alone, turns)
    )
    assert [step for step, _ in one] == [3, 6, 9, 12]
    assert [step for step, _ in other] == [3, 6, 9, 12]
    for (_, expected), (_, got) in zip(one, other):
        # Batch norm adds up in another order, and the losses with it.
        assert got == pytest.approx(expected, rel=1e-2)
    # One machine goes on with the cluster's shares, and the other way round.
    more = (*flags, f"--steps={_STEPS + 3}")
    train("weighed", *more)
    train("alone", *more, "--cluster=local", "--mode=turns")


def test_two_workers_compute_what_one_does(train):
    flags = ("--steps=2", "--cluster=local", "--mode=turns")
    flags += ("--batch_norm=synchronized",)
    one = _trunk(train("single", *flags))
    two = _trunk(train("pair", *flags, "--workers=2"))
    difference = _difference(one, two)
    print(f"two workers against one: {difference:.1e}")
    assert difference <= 1e-5


def test_calibration_prices_the_snapshots(train):
    # Whatever the mode, and in a run that has steps already.
    how = ("--cluster=local", "--mode=asynchronous", "--overlap")
    workdir = train("priced", "--cluster=local", "--steps=2")
    train("priced", *how, "--calibrate")
    config = run_directory.load_config(workdir)
    path = workdir / run_directory.SECONDS_FILE
    seconds = cost_table.load(path, config).seconds
    assert seconds.keys() == set(_TASKS) and min(seconds.values()) > 0
    (saved,) = workdir.glob("checkpoints/ckpt-*.index")
    assert saved.name == "ckpt-2.index"
    hours = sum(seconds.values()) / 3600
    train("priced", "--cluster=local", f"--snapshot_every={hours}")
    snapshots = sorted((workdir / "snapshots").iterdir())
    assert snapshots and checkpoint.latest(snapshots[0])
    lines = metrics_log.load_metrics(workdir)
    costs = [line.get("gpu_hours", 0.0) for line in lines]
    assert max(costs) >= hours
