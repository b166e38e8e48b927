"""The health watch in a run: what is written, kept and gone on from."""

import dataclasses
import json
import logging
import multiprocessing
import os
import signal
import time

import never_stops
import numpy as np
import pytest
import tensorflow as tf
import tiny_run

from mtssl_tf import report
from mtssl_tf.data import source as source_lib
from mtssl_tf.models import config as model_config
from mtssl_tf.reports import metrics_log
from mtssl_tf.training import before_trouble
from mtssl_tf.training import checkpoint
from mtssl_tf.training import checkpoint_folder
from mtssl_tf.training import health
from mtssl_tf.training import out_of_memory
from mtssl_tf.training import run_directory
from mtssl_tf.training import run_marker
from mtssl_tf.training import stall_watch
from mtssl_tf.training import trunk_gradients


def _health_lines(workdir):
    return [
        line
        for line in metrics_log.load_metrics(workdir)
        if line.get("split") == "health"
    ]


def _trunk_of(path):
    reader = tf.train.load_checkpoint(path)
    return {
        name: reader.get_tensor(name)
        for name in reader.get_variable_to_shape_map()
        if name.startswith("trunk/") and name.endswith("VARIABLE_VALUE")
    }


def test_what_diverges_is_said_and_can_be_gone_on_from_before(
    samples, tmp_path, caplog
):
    # A kind of fault: a run was done with a loss of 4e13, and its good
    # checkpoints had made room for bad ones.
    names = ["relative_position", "exemplar"]
    config = tiny_run.config(
        samples, names, "train.steps=30", "train.save_every=30"
    )
    workdir = tmp_path / "run"
    tiny_run.train(config, workdir)
    good = _trunk_of(checkpoint.latest(workdir))
    (line,) = [
        line
        for line in metrics_log.load_metrics(workdir)
        if line["split"] == "gradient_cosines"
    ]
    (cosine,) = line["gradient_cosines"].values()
    assert -1 <= cosine <= 1
    more = ("train.steps=110", "train.save_every=10", "train.log_every=10")
    config = tiny_run.config(samples, names, *more)
    trainer = tiny_run.trainer(config, workdir)
    state = trainer._run.states["relative_position"]
    state.optimizer.learning_rate.assign(1e6)
    with caplog.at_level(logging.WARNING):
        trainer.train(never_stops.OnlyTrains())
    lines = _health_lines(workdir)
    line = next(line for line in lines if line["kind"] == health.LOSS_GROWS)
    assert line["subject"] == "relative_position" and line["step"] <= 100
    kept = workdir / before_trouble.FOLDER.format(step=30)
    assert "--set relative_position.learning_rate=" in line["message"]
    assert str(kept) in line["message"]
    assert line["message"] in caplog.text
    assert any(each["kind"] == health.WEIGHTS_GROW for each in lines)
    board = b"".join(
        path.read_bytes() for path in (workdir / "tensorboard").iterdir()
    )
    assert b"health/loss_grows/relative_position" in board
    # What the run itself keeps is all of the trouble by now.
    latest = _trunk_of(checkpoint.latest(workdir))
    assert max(np.abs(w).max() for w in latest.values()) > 1e6
    # The advice works: a run directory like any other.
    again = tiny_run.trainer(
        tiny_run.config(samples, names, "train.steps=32"), kept
    )
    assert again.step == 30
    for name, value in _trunk_of(checkpoint.latest(kept)).items():
        np.testing.assert_array_equal(value, good[name], err_msg=name)
    again.train(never_stops.OnlyTrains())
    assert not _health_lines(kept)
    # Readers of metrics do not stumble.
    assert line["message"] in report.write_report(workdir)


def test_features_that_grow_in_a_run_are_said(samples, tmp_path):
    config = tiny_run.config(
        samples,
        ["exemplar"],
        "exemplar.learning_rate=0.01",
        "train.steps=100",
    )
    vgg = model_config.TrunkConfig(
        family="vgg16", depth=16, num_units=(1, 1, 1, 2, 2), width=1 / 16
    )
    config = dataclasses.replace(config, trunk=vgg)
    trainer = tiny_run.trainer(config, tmp_path / "run")
    sizes = []
    watch = trainer._health._watch
    add = watch.add_feature_sizes
    watch.add_feature_sizes = lambda found: (sizes.append(found), add(found))
    trainer.train(never_stops.OnlyTrains())
    norm = trainer._run.states["exemplar"].model.head.get_layer(
        "head_features_norm"
    )
    # Of 100 steps with a decay of 0.95 not much is left of where it began.
    deviation = np.sqrt(np.mean(norm.moving_variance))
    assert sizes[-1]["exemplar"] == pytest.approx(deviation, rel=0.01)
    # At the first look they are no longer the 1 that a norm begins with, which
    # later ones would have grown from in any run.
    assert sizes[0]["exemplar"] > 10
    kinds = {line["kind"] for line in _health_lines(tmp_path / "run")}
    assert health.FEATURES_GROW in kinds


def test_of_old_checkpoints_one_is_held(tmp_path):
    (tmp_path / run_directory.CONFIG_FILE).write_text("{}")
    checkpoints = tmp_path / checkpoint.FOLDER
    saved = checkpoint_folder.CheckpointFolder(
        checkpoints, tf.train.Checkpoint(a=tf.Variable(1.0)), keep=1
    )
    kept = before_trouble.BeforeTrouble(tmp_path, 0)
    assert "start anew" in kept.keep(0)
    for step in range(50, 3001, 50):
        kept.add(step, saved.save(step))
        held = len(list(tmp_path.glob(".healthy/*.index")))
        assert held <= 6
    message = kept.keep(2700)
    folder = tmp_path / "before_trouble_2650"
    assert str(folder) in message
    assert checkpoint.latest(folder).endswith("ckpt-2650")
    # A later start may go on from what the trouble left.
    later = before_trouble.BeforeTrouble(tmp_path, 3000)
    later.add(3000, str(checkpoints / "ckpt-3000"))
    assert str(folder) in later.keep(3010)


def test_cosines_are_those_of_all_variables_together():
    random = np.random.default_rng(0)
    first = [random.normal(size=s).astype("float32") for s in ((3, 4), (5,))]
    second = [random.normal(size=s).astype("float32") for s in ((3, 4), (5,))]
    tensors = {
        "a": [tf.constant(each) for each in first],
        "b": [tf.constant(each) for each in second],
        "c": [tf.constant(-2 * each) for each in first],
        "none": [tf.zeros([3, 4]), tf.zeros([5])],
    }
    flat = [np.concatenate([e.ravel() for e in v]) for v in (first, second)]
    norms = [np.linalg.norm(each) for each in flat]
    expected = flat[0] @ flat[1] / (norms[0] * norms[1])
    found = trunk_gradients.cosines(tensors)
    assert found.keys() == {("a", "b"), ("a", "c"), ("b", "c")}
    assert found[("a", "b")] == pytest.approx(expected, abs=1e-5)
    assert found[("a", "c")] == pytest.approx(-1, abs=1e-5)


@pytest.mark.parametrize("start", [0, 50, 100])
def test_a_round_of_turns_gives_cosines_now_and_then(start):
    # Who goes on from a checkpoint compares at the same steps.
    gradients = trunk_gradients.TrunkGradients(3, every=50)
    one = [tf.ones([2])]
    ended = {}
    for step in range(start + 1, 121):
        # The third task has no turn in the second round.
        task = "abc"[step % 3] if step < 90 else "ab"[step % 2]
        if found := gradients.add(step, task, one):
            ended[step] = set(found)
    expected = {
        53: {("a", "b"), ("a", "c"), ("b", "c")},
        113: {("a", "b")},
    }
    assert ended == {s: pairs for s, pairs in expected.items() if s > start}


def test_a_task_alone_is_compared_with_nobody():
    alone = trunk_gradients.TrunkGradients(1, every=1)
    one = [tf.ones([2])]
    assert not any(alone.add(step, "a", one) for step in range(1, 6))


def _die():
    os.kill(os.getpid(), signal.SIGKILL)


def test_data_that_die_are_said(samples, tmp_path):
    config = tiny_run.config(samples, ["exemplar"], "train.steps=2")
    trainer = tiny_run.trainer(config, tmp_path)
    check = trainer._health

    def fail(position):
        if position == 2:
            raise RuntimeError("disk gone")
        return position

    batches = iter(
        tf.data.Dataset.range(4).map(
            lambda n: tf.numpy_function(fail, [n], tf.int64)
        )
    )
    with pytest.raises(source_lib.SourceError, match="exemplar.*disk gone"):
        while True:
            with check.wait_for(7, "exemplar"):
                next(batches)
    process = multiprocessing.get_context("spawn").Process(
        target=_die, name="labeller"
    )
    process.start()
    check._look_for_dead_workers()
    process.join()
    check._look_for_dead_workers()
    check._say_new(8)
    check.close()
    first, second = _health_lines(tmp_path)
    assert first["kind"] == second["kind"] == health.WORKER_DIED
    assert (first["step"], first["subject"]) == (7, "exemplar")
    assert "exit code -9" in second["message"]
    assert second["subject"] == "labeller"


def test_a_batch_that_does_not_come_is_said(monkeypatch):
    monkeypatch.setattr(stall_watch, "_STALLED_AFTER_S", 0.05)
    monkeypatch.setattr(stall_watch, "_LOOK_EVERY_S", 0.01)
    said = []
    watch = stall_watch.StallWatch(lambda *told: said.append(told))
    for _ in range(50):
        watch.begin(1, "quick")
        watch.end()
    time.sleep(0.1)
    assert not said
    watch.begin(2, "motion")
    deadline = time.monotonic() + 10
    while not said and time.monotonic() < deadline:
        time.sleep(0.01)
    watch.close()
    assert [told[:2] for told in said] == [(2, "motion")]


def _raise_memory_error():
    raise MemoryError


@pytest.mark.parametrize(
    "use_memory",
    [lambda: tf.fill([1 << 46], 1.0), _raise_memory_error],
)
def test_want_of_memory_is_one_line(samples, use_memory):
    config = tiny_run.config(samples, ["exemplar"], "exemplar.batch_size=64")
    with pytest.raises(out_of_memory.OutOfMemoryError) as caught:
        with out_of_memory.explained(config, "exemplar"):
            use_memory()
    message = str(caught.value)
    for part in ("host", "batches of 64", "exemplar.batch_size=32", "bfloat16"):
        assert part in message
    assert "\n" not in message


def test_a_step_without_memory_ends_the_run_in_one_line(samples, tmp_path):
    config = tiny_run.config(samples, ["exemplar"], "train.steps=2")
    trainer = tiny_run.trainer(config, tmp_path)
    step = trainer._step_functions["exemplar"]
    step.take = lambda batch: tf.fill([1 << 46], 1.0)
    with pytest.raises(OSError, match="at a step of exemplar with batches"):
        trainer.train(never_stops.OnlyTrains())
    assert not (tmp_path / run_marker.FILE).exists()


def test_a_process_that_the_kernel_ended_is_explained(
    samples, tmp_path, monkeypatch
):
    counts = tmp_path / "vmstat"
    monkeypatch.setattr(run_marker, "_COUNTS_FILE", counts)
    counts.write_text("pgfault 12\noom_kill 3\n")
    config = tiny_run.config(samples, ["exemplar"], "train.steps=2")
    marker = run_marker.RunMarker(tmp_path, config)
    assert marker.explain_last_end() is None
    # Killed by somebody else: nothing to say of memory.
    marker = run_marker.RunMarker(tmp_path, config)
    assert marker.explain_last_end() is None
    pid = json.loads((tmp_path / run_marker.FILE).read_text())["pid"]
    counts.write_text("pgfault 12\noom_kill 4\n")
    marker = run_marker.RunMarker(tmp_path, config)
    message = marker.explain_last_end()
    for part in (str(pid), "exemplar 4", "--set exemplar.batch_size=2"):
        assert part in message
    marker.remove()
    counts.write_text("pgfault 12\noom_kill 5\n")
    assert run_marker.RunMarker(tmp_path, config).explain_last_end() is None


@pytest.mark.parametrize("left", ["", "[1]", '{"kills": "x"}'])
def test_a_damaged_mark_is_no_trouble(samples, tmp_path, left):
    (tmp_path / run_marker.FILE).write_text(left)
    config = tiny_run.config(samples, ["exemplar"], "train.steps=2")
    assert run_marker.RunMarker(tmp_path, config).explain_last_end() is None
