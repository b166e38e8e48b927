"""Tests for the training loop: resume, replicas, what stops it."""

import os
import pathlib
import shutil
import threading
import time

import each_change
import motion_clips
import never_stops
import numpy as np
import pytest
import task_cases
import tensorflow as tf
import tiny_run

from mtssl_tf import config as config_lib
from mtssl_tf import tasks
from mtssl_tf.process import atomic_file
from mtssl_tf.reports import metrics_log
from mtssl_tf.reports import progress
from mtssl_tf.training import checkpoint
from mtssl_tf.training import cost_table
from mtssl_tf.training import loop
from mtssl_tf.training import non_finite
from mtssl_tf.training import pipelines
from mtssl_tf.training import run as run_lib
from mtssl_tf.training import step as step_lib
from mtssl_tf.training import steps_under_way


class _StopsWhileLabelling(never_stops.NeverStops):
    """Asks to stop once a part of a film is being labelled."""

    name = "SIGTERM"

    def __init__(self, cache_dir):
        self._cache_dir = cache_dir

    def tell(self, listener):
        def request():
            deadline = time.monotonic() + 60
            while not atomic_file.find(self._cache_dir, "**/*.partial"):
                if time.monotonic() > deadline:
                    break  # and the test fails, if it took that long
                time.sleep(0.01)
            self.is_requested = True
            self.requested_s = time.monotonic()
            listener()

        threading.Thread(target=request, daemon=True).start()


def _config(samples, names, *assignments):
    return tiny_run.config(samples, names, "train.log_every=2", *assignments)


def _of_six_steps(samples, *assignments):
    """A run in which lines of the log and checkpoints lie at other steps."""
    return _config(
        samples,
        ["exemplar"],
        *("train.steps=6", "train.log_every=4", "train.save_every=3"),
        *assignments,
    )


@pytest.fixture(scope="module")
def whole(samples, tmp_path_factory):
    """Such a run that nothing happened to, judged at its end."""
    workdir = tmp_path_factory.mktemp("whole")
    config = _of_six_steps(samples)
    tiny_run.train(config, workdir, never_stops.NeverStops())
    return workdir


@pytest.mark.parametrize("num_parts", each_change.only(1, of=[1, 2]))
def test_four_steps_equal_two_and_two_to_the_bit(samples, tmp_path, num_parts):
    names = ["relative_position", "colorization"]
    whole = _config(
        samples,
        names,
        "train.steps=4",
        "train.use_lasso=true",
        f"train.accumulate={num_parts}",
    )
    half = config_lib.override(whole, "train.steps=2")
    tiny_run.train(whole, tmp_path / "whole")
    tiny_run.train(half, tmp_path / "parts")
    tiny_run.train(whole, tmp_path / "parts")
    expected = tiny_run.saved(tmp_path / "whole")
    got = tiny_run.saved(tmp_path / "parts")
    assert expected.keys() == got.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(got[name], value, err_msg=name)


def test_pictures_that_come_meanwhile_change_nothing(
    samples, whole, tmp_path, caplog
):
    pictures = shutil.copytree(samples.images, tmp_path / "pictures")
    names = sorted(path.name for path in pictures.iterdir())
    config = _of_six_steps(samples, f"data.images={pictures}")
    half = config_lib.override(config, "train.steps=3")
    tiny_run.train(half, tmp_path / "parts")
    shutil.copy(pictures / names[0], pictures / f"0{names[0]}")
    tiny_run.train(config, tmp_path / "parts")
    assert "has 1 files that were not there" in caplog.text
    expected = tiny_run.saved(whole)
    for name, value in tiny_run.saved(tmp_path / "parts").items():
        np.testing.assert_array_equal(value, expected[name], err_msg=name)
    # What is gone is passed over; a new run has what is there.
    for name in names[: len(names) // 2]:
        (pictures / name).unlink()
    longer = config_lib.override(config, "train.steps=7")
    trainer = tiny_run.train(longer, tmp_path / "parts")
    assert trainer.step == 7
    assert f"{len(names) // 2} files of --images" in caplog.text
    (run,) = run_lib.open_sources(config).values()
    assert len(run.names()) == len(names) - len(names) // 2 + 1


def test_being_stopped_changes_nothing(samples, whole, tmp_path):
    config = _of_six_steps(samples)
    tiny_run.train(config, tmp_path, never_stops.StopsAt(5))
    assert checkpoint.latest(tmp_path).endswith("ckpt-5")
    tiny_run.train(config, tmp_path)
    expected = tiny_run.saved(whole)
    for name, value in tiny_run.saved(tmp_path).items():
        np.testing.assert_array_equal(value, expected[name], err_msg=name)
    steps = [
        line["step"]
        for line in metrics_log.load_metrics(tmp_path)
        if line["split"] == "train"
    ]
    # Nothing is lost of the step that the next line would have been about.
    assert steps == [3, 4, 5, 6]


def test_what_was_not_judged_is_judged_at_the_next_start(samples, tmp_path):
    config = _config(samples, ["exemplar"], "train.steps=2")

    tiny_run.train(config, tmp_path, never_stops.OnlyTrains())
    for _ in range(2):
        tiny_run.train(config, tmp_path, never_stops.NeverStops())
        (line,) = [
            line
            for line in metrics_log.load_metrics(tmp_path)
            if line["split"] == "held_out"
        ]
        assert line["step"] == 2


def test_a_resumed_run_tells_the_same_of_the_same_steps(
    samples, whole, tmp_path
):
    """Where it goes on lies between two lines of the log."""
    config = _of_six_steps(samples)
    with pytest.raises(KeyboardInterrupt):
        tiny_run.train(config, tmp_path, never_stops.DiesAt(5))
    tiny_run.train(config, tmp_path, never_stops.NeverStops())
    expected, got = (
        [
            {key: line[key] for key in ("step", "split", "loss", "metrics")}
            for line in metrics_log.load_metrics(workdir)
        ]
        for workdir in (whole, tmp_path)
    )
    steps = [line["step"] for line in got if line["split"] == "train"]
    assert steps == [3, 4, 6] and got == expected


def test_what_was_told_is_on_disk_before_a_checkpoint(
    samples, tmp_path, monkeypatch
):
    # When the power goes, whoever goes on from it does not tell it again.
    synced, fsync = [], os.fsync

    def note(descriptor):
        path = os.readlink(f"/proc/self/fd/{descriptor}")
        synced.append(pathlib.Path(path).name)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    tiny_run.train(_config(samples, ["exemplar"], "train.steps=1"), tmp_path)
    files = [name for name in synced if name.startswith("ckpt-1")]
    assert synced.index("metrics.jsonl") < synced.index(files[0])


def test_a_stop_is_answered_while_a_film_is_labelled(samples, tmp_path):
    """Work without a bound must not keep a run from its end."""
    frames, _ = motion_clips.panning_clip(400, size=(48, 64), object_px=0.02)
    motion_clips.save_video(tmp_path / "film.avi", frames)
    config = _config(
        samples,
        ["motion_segmentation"],
        f"data.videos={tmp_path}",
        f"data.cache_dir={tmp_path / 'cache'}",
        "data.num_fit=1",
    )
    config = config_lib.override(
        config, "motion_segmentation.batch_size=1024"
    )  # waits for most of the film
    stop = _StopsWhileLabelling(tmp_path / "cache")
    trainer = tiny_run.train(config, tmp_path / "run", stop)
    assert time.monotonic() - stop.requested_s < 5
    assert trainer.step == 0


def test_metrics_have_what_a_person_wants_to_know(whole):
    lines = metrics_log.load_metrics(whole)
    train, held_out = (
        next(line for line in lines if line["split"] == split)
        for split in ("train", "held_out")
    )
    for key in (
        "step",
        "task",
        "loss",
        "chance",
        "images_per_s",
        "data_wait",
        "wall_s",
    ):
        assert key in train
    assert {"loss", "chance", "metrics"} <= held_out.keys()
    assert (whole / "pictures" / "exemplar.png").is_file()
    assert list((whole / "tensorboard").iterdir())


def test_a_profile_is_written_even_if_training_ends_within_it(
    samples, tmp_path
):
    config = _config(
        samples, ["exemplar"], "train.steps=2", "train.profile=(1,50)"
    )
    tiny_run.train(config, tmp_path)
    traces = list((tmp_path / "tensorboard").rglob("*.xplane.pb"))
    assert traces and traces[0].stat().st_size > 0


def test_a_loss_that_is_no_number_stops_the_run(samples, tmp_path):
    config = _config(samples, ["exemplar"], "train.steps=2")
    tiny_run.train(config, tmp_path)
    config = config_lib.override(config, "train.steps=4")
    run = run_lib.build_run(config, tmp_path)
    trainer = loop.Trainer(run, tmp_path)
    run.states["exemplar"].variables[0].assign(
        np.full(run.states["exemplar"].variables[0].shape, np.nan)
    )
    with pytest.raises(
        non_finite.NonFiniteLossError, match="exemplar at step 2"
    ):
        trainer.train(never_stops.OnlyTrains())
    # The last good checkpoint stays the last.
    assert checkpoint.latest(tmp_path).endswith("ckpt-2")
    assert all(np.isfinite(w).all() for w in tiny_run.saved(tmp_path).values())
    batch = np.load(tmp_path / non_finite.BATCH_FILE)
    assert batch["views"].shape[:2] == (4, 2)


def test_the_first_bad_step_is_named_with_its_batch(
    samples, tmp_path, monkeypatch
):
    names = ["exemplar", "colorization"]
    config = _config(samples, names, "train.steps=9", "train.log_every=8")
    config = config_lib.override(config, "train.save_every=2")
    trainer = loop.Trainer(run_lib.build_run(config, tmp_path), tmp_path)
    start = pipelines.start_pipeline

    def start_with_poison(run, name, num_steps):
        batches = start(run, name, num_steps)
        return _poisoned(batches, 2) if name == "colorization" else batches

    monkeypatch.setattr(pipelines, "start_pipeline", start_with_poison)
    with pytest.raises(
        non_finite.NonFiniteLossError, match="colorization at step 3"
    ):
        trainer.train(never_stops.NeverStops())
    assert np.isnan(np.load(tmp_path / non_finite.BATCH_FILE)["views"]).all()
    assert checkpoint.latest(tmp_path).endswith("ckpt-2")


def _poisoned(batches, number):
    """Passes batches on, one of them without a number in it."""
    for count, batch in enumerate(batches, start=1):
        if count == number:
            views = tf.cast(batch["views"], tf.float32)
            batch = {**batch, "views": views * np.nan}
        yield batch


def test_numbers_are_fetched_once_a_line(samples, tmp_path, monkeypatch):
    # A kind of fault: each step waited for its loss, and a GPU for the host.
    # With a table: without one the first steps are timed.
    costs = tmp_path / "costs.json"
    config = _config(
        samples,
        ["exemplar"],
        "train.steps=20",
        "train.log_every=10",
        f"train.costs={costs}",
    )
    cost_table.save(costs, config, "a machine", {"exemplar": 1.0})
    fetched = []
    fetch = steps_under_way.StepsUnderWay.fetch

    def count(under_way):
        numbers = fetch(under_way)
        fetched.append(len(numbers))
        return numbers

    monkeypatch.setattr(steps_under_way.StepsUnderWay, "fetch", count)
    monkeypatch.setattr(progress.ProgressLine, "is_due", lambda line: False)
    tiny_run.train(config, tmp_path / "run")
    assert [number for number in fetched if number] == [10, 10]
    lines = metrics_log.load_metrics(tmp_path / "run")
    lines = [line for line in lines if line["split"] == "train"]
    assert [line["step"] for line in lines] == [10, 20]


def test_a_frozen_trunk_stays_as_it_was(samples, tmp_path):
    config = _config(
        samples, ["exemplar"], "train.steps=2", "train.freeze_trunk=true"
    )
    run = run_lib.build_run(config, tmp_path)
    before = [w.numpy() for w in run.trunk.trainable_variables]
    head = run.states["exemplar"].model.head.trainable_variables
    head_before = [w.numpy() for w in head]
    loop.Trainer(run, tmp_path).train(never_stops.NeverStops())
    for old, new in zip(before, run.trunk.trainable_variables):
        np.testing.assert_array_equal(old, new)
    assert any((o != n.numpy()).any() for o, n in zip(head_before, head))


def test_tasks_share_the_trunk_and_not_the_slots(samples, tmp_path):
    config = _config(samples, ["exemplar", "colorization"])
    run = run_lib.build_run(config, tmp_path)
    first, second = run.states.values()
    trunk = {id(v) for v in run.trunk.trainable_variables}
    both = {id(v) for v in first.variables} & {id(v) for v in second.variables}
    assert both == trunk
    slots = [{id(v) for v in s.optimizer.variables} for s in (first, second)]
    assert not slots[0] & slots[1]
    # A stride of its own, the same weights.
    assert first.task.config.output_stride != second.task.config.output_stride


# One whose loss compares examples; .ci/long has those that have a loss of each.
@pytest.mark.parametrize("name", each_change.only("exemplar", of=tasks.TASKS))
def test_a_step_on_two_replicas_equals_one_on_one(two_replicas, name):
    # A kind of fault: a loss that compares examples saw those of its own
    # replica alone, so that more replicas meant fewer negatives.
    config = task_cases.small_config(name)
    batch = None
    results = []
    for strategy in (tf.distribute.get_strategy(), two_replicas):
        with strategy.scope():
            state = task_cases.build_state(config)
        # Batch norm would see other batches; frozen it sees none.
        for layer in state.model.model._flatten_layers():
            if type(layer).__name__ == "BatchNormalization":
                layer.trainable = False
        batch = batch or task_cases.batch(state.task)
        size = state.task.config.batch_size
        dataset = tf.data.Dataset.from_tensors(batch).unbatch().batch(size)
        dataset = strategy.experimental_distribute_dataset(dataset)

        @tf.function
        def step(parts):
            def on_replica(part):
                _, gradients = step_lib.compute_gradients(state, part, size)
                step_lib.apply_gradients(
                    state, step_lib.sum_over_replicas(gradients)
                )

            strategy.run(on_replica, (parts,))

        step(next(iter(dataset)))
        results.append([v.numpy() for v in state.variables])
    for one, two in zip(*results):
        np.testing.assert_allclose(one, two, atol=1e-5)


def test_replicas_agree_on_batch_norms_statistics(two_replicas):
    strategy = two_replicas
    with strategy.scope():
        state = task_cases.build_state(task_cases.small_config("exemplar"))
    size = state.task.config.batch_size
    dataset = tf.data.Dataset.from_tensors(task_cases.batch(state.task))
    dataset = dataset.unbatch().batch(size)
    batch = next(iter(strategy.experimental_distribute_dataset(dataset)))
    step = step_lib.StepFunction(strategy, state)
    moving = [
        v.value
        for v in state.model.model.non_trainable_variables
        if "moving_mean" in v.path
    ]
    before = moving[0].values[0].numpy()
    assert step.take(batch).is_finite
    for variable in moving:
        first, second = (copy.numpy() for copy in variable.values)
        np.testing.assert_allclose(first, second, atol=1e-6)
    assert (before != moving[0].values[0].numpy()).any()
