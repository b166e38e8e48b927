"""What a run has cost, and its snapshots."""

import itertools
import time
import types

import never_stops
import numpy as np
import pytest
import tensorflow as tf
import tiny_run

from mtssl_tf import config as config_lib
from mtssl_tf import pretrained
from mtssl_tf.process import atomic_file
from mtssl_tf.reports import metrics_log
from mtssl_tf.training import checkpoint
from mtssl_tf.training import cost_table
from mtssl_tf.training import gpu_hours
from mtssl_tf.training import pipelines
from mtssl_tf.training import run_cost
from mtssl_tf.training import run_directory
from mtssl_tf.training import step as step_lib
from mtssl_tf.training import steps_under_way


def _train(config, workdir, stop=None):
    with run_directory.hold(workdir):
        tiny_run.train(config, workdir, stop)


def _assert_equal(one, other):
    one, other = tiny_run.saved(one), tiny_run.saved(other)
    assert one.keys() == other.keys()
    for name, value in one.items():
        np.testing.assert_array_equal(value, other[name], err_msg=name)


def test_snapshots_are_runs_and_killed_ones_are_equal(samples, tmp_path):
    costs = tmp_path / "costs.json"
    config = tiny_run.config(
        samples,
        ["exemplar"],
        "train.steps=5",
        "train.save_every=3",
        "train.log_every=1",
        "train.snapshot_every=0.02",
        f"train.costs={costs}",
    )
    cost_table.save(costs, config, "a machine", {"exemplar": 36.0})
    _train(config, tmp_path / "whole")
    folder = tmp_path / "whole" / "snapshots"
    names = ["gpu_hours_0000000.020000", "gpu_hours_0000000.040000"]
    assert sorted(path.name for path in folder.iterdir()) == names
    # Killed after a snapshot, and before the next checkpoint: the step is
    # taken again. And as it was writing one.
    killed = tmp_path / "killed"
    with pytest.raises(KeyboardInterrupt):
        _train(config, killed, never_stops.DiesAt(4))
    partial = killed / "snapshots" / f"x.1-1{atomic_file.PARTIAL_SUFFIX}"
    partial.mkdir()
    _train(config, killed)
    assert sorted(p.name for p in (killed / "snapshots").iterdir()) == names
    for name in names:
        _assert_equal(folder / name, killed / "snapshots" / name)
    _assert_equal(tmp_path / "whole", killed)
    # A snapshot is a run that stopped there, and is read as one.
    assert checkpoint.latest(folder / names[0]).endswith("ckpt-2")
    loaded = pretrained.load_trunk(folder / names[1])
    units = loaded(np.zeros([1, 32, 32, 3], np.float32))
    assert all(np.isfinite(unit).all() for unit in units.values())
    lines = metrics_log.load_metrics(killed)
    hours = {line["step"]: line["gpu_hours"] for line in lines}
    assert hours == pytest.approx({step: step / 100 for step in range(1, 6)})


def _cost(workdir, *assignments, num_replicas=1):
    """The cost of a run of which only settings and replicas matter."""
    config = config_lib.override(
        config_lib.preset_config("tiny", ["colorization", "exemplar"]),
        *assignments,
    )
    run = types.SimpleNamespace(
        config=config,
        strategy=types.SimpleNamespace(num_replicas_in_sync=num_replicas),
    )
    steps = dict.fromkeys(config.tasks, 0)
    return run_cost.RunCost(workdir, run, steps)


def test_without_a_table_the_first_steps_are_measured(tmp_path):
    cost = _cost(tmp_path, num_replicas=2)
    one = {"colorization": 60, "exemplar": 30}
    for number in range(gpu_hours.NUM_MEASURED):
        assert cost.hours(one) is None
        # The first ones are slow, and do not count.
        seconds = 100.0 if number < gpu_hours.NUM_WARM_UP else 1.5
        assert cost.is_measured("exemplar")
        cost.add_step("exemplar", seconds)
        cost.add_step("colorization", 2 * seconds)
    assert not cost.is_measured("exemplar")
    # Two GPUs: (60 x 3 s + 30 x 1.5 s) x 2.
    assert cost.hours(one) == pytest.approx(450 / 3600)
    assert _cost(tmp_path).hours(one) == cost.hours(one)


def test_a_step_is_not_charged_with_what_another_left_under_way(
    samples, tmp_path, monkeypatch
):
    """On a device that computes while the host goes on.

    A kind of fault: a clock that starts while others' work is waited for.
    """
    takes_s = {"relative_position": 0.04, "colorization": 0.02}
    config = tiny_run.config(
        samples, list(takes_s), "train.steps=130", "relative_position.weight=3"
    )
    trainer = tiny_run.trainer(config, tmp_path)
    free_at = [0.0]

    class Queued:
        names = ["loss", step_lib.GRADIENT_NORM]

        def __init__(self, name):
            self._takes_s = takes_s[name]

        def take(self, batch):
            now = time.monotonic()
            free_at[0] = max(free_at[0], now) + self._takes_s
            return step_lib.Outcome(tf.ones([2]), tf.constant(True), [])

    fetch = steps_under_way.StepsUnderWay.fetch

    def wait_and_fetch(under_way):
        time.sleep(max(0.0, free_at[0] - time.monotonic()))
        return fetch(under_way)

    monkeypatch.setattr(steps_under_way.StepsUnderWay, "fetch", wait_and_fetch)
    monkeypatch.setattr(
        pipelines, "start_pipeline", lambda *_: itertools.repeat({})
    )
    trainer._step_functions = {name: Queued(name) for name in takes_s}
    trainer.train(never_stops.OnlyTrains())
    found = cost_table.find(tmp_path, config).seconds
    for name, seconds in takes_s.items():
        # What the host adds; another's step would be at least as much as this.
        assert seconds <= found[name] < seconds + 0.015, name


def test_all_that_no_table_has_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match="none.json is missing"):
        _cost(tmp_path, f"train.costs={tmp_path}/none.json")
