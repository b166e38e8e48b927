"""Dynamic weights in a run: resume, what is told, what halves say."""

import json

import each_change
import never_stops
import numpy as np
import pytest
import tensorflow as tf
import tiny_run

from mtssl_tf import weighting
from mtssl_tf.reports import metrics_log
from mtssl_tf.training import checkpoint
from mtssl_tf.training import half_batches
from mtssl_tf.training import pipelines
from mtssl_tf.training import run as run_lib
from mtssl_tf.training import step as step_lib
from mtssl_tf.weighting import weighing as weighing_lib

_NAMES = ["relative_position", "exemplar"]
_TIMES = ("images_per_s", "data_wait", "wall_s", "gpu_hours")


def _config(samples, rule, *assignments):
    return tiny_run.config(
        samples,
        _NAMES,
        f"train.weighting={rule}",
        "train.steps=14",
        "train.weigh_every=3",
        "train.log_every=5",
        *assignments,
    )


def _lines(workdir, split):
    return [
        {key: value for key, value in line.items() if key not in _TIMES}
        for line in metrics_log.load_metrics(workdir)
        if line["split"] == split
    ]


@pytest.mark.parametrize(
    "rule", each_change.only("gradient_consistency", of=weighting.RULES)
)
def test_a_run_that_was_stopped_ends_as_if_it_had_not(
    samples, tmp_path, monkeypatch, rule
):
    monkeypatch.setattr(weighing_lib, "_MEASURE_EVERY", 2)
    config = _config(samples, rule)
    trainer = tiny_run.train(config, tmp_path / "whole")
    # Plain JSON, whatever a rule keeps.
    stored = json.loads(trainer._turns.weighing.dump())
    assert stored["step"] == 12 and stored["shares"].keys() == set(_NAMES)
    between_updates = never_stops.StopsAt(8)
    tiny_run.train(config, tmp_path / "stopped", between_updates)
    assert checkpoint.latest(tmp_path / "stopped").endswith("ckpt-8")
    tiny_run.train(config, tmp_path / "stopped")
    expected = tiny_run.saved(tmp_path / "whole")
    got = tiny_run.saved(tmp_path / "stopped")
    assert expected.keys() == got.keys()
    assert any(name.startswith("weighting/") for name in got)
    for name, value in expected.items():
        np.testing.assert_array_equal(got[name], value, err_msg=name)
    for split in (weighing_lib.SHARES, weighing_lib.FIGURES):
        lines = _lines(tmp_path / "whole", split)
        assert [line["step"] for line in lines] == [3, 6, 9, 12]
        assert lines == _lines(tmp_path / "stopped", split)
    for line in _lines(tmp_path / "whole", weighing_lib.SHARES):
        assert sum(line["shares"].values()) == pytest.approx(1)
    board = b"".join(
        path.read_bytes()
        for path in (tmp_path / "whole" / "tensorboard").iterdir()
    )
    assert b"shares/exemplar" in board and b"weighting/exemplar" in board


def test_a_share_that_would_starve_is_said(samples, tmp_path, caplog):
    # By the third update of gradnorm whoever is ahead has the least share.
    config = _config(samples, "gradnorm", "train.least_share=0.98")
    trainer = tiny_run.train(config, tmp_path)
    (alarm, *_) = [
        line
        for line in _lines(tmp_path, "health")
        if line["kind"] == weighing_lib.AT_LEAST
    ]
    assert alarm["subject"] in _NAMES and "49.0%" in alarm["message"]
    assert alarm["message"] in caplog.text
    assert min(trainer._turns.weighing.shares.values()) == pytest.approx(0.49)


def test_fixed_weights_leave_no_trace_but_what_they_starve(
    samples, tmp_path, caplog
):
    config = _config(
        samples,
        weighting.FIXED,
        "exemplar.weight=0.01",
        "train.steps=2",
        "train.weigh_every=1",
    )
    tiny_run.train(config, tmp_path)
    assert not any("weighting" in name for name in tiny_run.saved(tmp_path))
    splits = {line["split"] for line in metrics_log.load_metrics(tmp_path)}
    assert not splits & {weighing_lib.SHARES, weighing_lib.FIGURES}
    assert "exemplar.weight=0.01 leaves exemplar no step of 2" in caplog.text


@pytest.fixture(scope="module")
def run(samples, tmp_path_factory):
    config = tiny_run.config(samples, _NAMES, "exemplar.batch_size=8")
    return run_lib.build_run(config, tmp_path_factory.mktemp("run"))


def _gradients_of(state, batch):
    """The trunk's gradients of a batch, each variable as a vector."""
    size = len(batch["seed"])
    # Compiled, as it is measured: a triplet at the margin goes by roundings.
    compute = tf.function(
        lambda batch: step_lib.compute_gradients(state, batch, size)[1],
        autograph=False,
    )
    trunk = compute(batch)[: step_lib.num_trunk_variables(state)]
    return [each.numpy().ravel() for each in trunk]


@pytest.mark.parametrize("name", _NAMES)
def test_the_cosine_is_that_of_two_half_batches(run, name):
    state = run.states[name]
    batch = next(pipelines.start_pipeline(run, name, 0))
    half = len(batch["seed"]) // 2
    first = _gradients_of(state, {k: v[:half] for k, v in batch.items()})
    second = _gradients_of(state, {k: v[half:] for k, v in batch.items()})
    cosines = [
        one @ two / max(np.linalg.norm(one) * np.linalg.norm(two), 1e-30)
        for one, two in zip(first, second)
    ]
    expected = np.average(cosines, weights=[len(one) for one in first])
    before = state.model.model.get_weights()
    halves = half_batches.HalfBatches(run.strategy, state, 2 * half)
    assert halves.measure(batch) == pytest.approx(expected, abs=1e-4)
    # Measuring is no step: weights and batch norm's averages are as before.
    for after, value in zip(state.model.model.get_weights(), before):
        np.testing.assert_array_equal(after, value)


def test_of_two_quarters_is_told_what_halves_would_have(run, monkeypatch):
    halves = half_batches.HalfBatches(
        run.strategy, run.states["exemplar"], 8, num_parts=4
    )
    monkeypatch.setattr(halves, "_measure", lambda batch: batch)
    # Twice the length: 2 x 0.5 / 1.5.
    assert halves.measure(0.5) == pytest.approx(2 / 3)
    assert halves.measure(-0.5) == -0.5


def test_a_batch_that_cannot_be_halved_is_named(run):
    with pytest.raises(ValueError, match="exemplar.batch_size .* 2, got 5"):
        half_batches.HalfBatches(run.strategy, run.states["exemplar"], 5)
