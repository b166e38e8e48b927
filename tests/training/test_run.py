"""What a run is put together of."""

import shutil

import numpy as np
import pytest
import tensorflow as tf

from mtssl_tf import config as config_lib
from mtssl_tf.data import skipped
from mtssl_tf.training import run
from mtssl_tf.training import run_data


@pytest.mark.parametrize("is_of_old_version", [False, True])
def test_records_may_move(tmp_path, monkeypatch, is_of_old_version):
    """The kind: names hold where files lie, and choose what is held out."""
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    for name in ("a", "b"):
        with tf.io.TFRecordWriter(str(old / f"{name}.tfrecord")) as writer:
            for number in range(20):
                writer.write(b"x" * number)

    def open_there(images):
        config = config_lib.override(
            config_lib.preset_config("tiny", ["rotation"]),
            f"data.images=tfrecord:{images}",
            "data.held_out_images=0.3",
        )
        (source,) = run.open_own_sources(config, tmp_path / "run").values()
        return source.training.names, source.held_out.names

    if is_of_old_version:
        with monkeypatch.context() as patch:
            patch.setattr(run_data, "records_in", lambda *_: None)
            first = open_there(f"{old}/*.tfrecord")
        assert first[0][0].startswith(f"{old}/a.tfrecord at byte")
    else:
        first = open_there(f"{old}/*.tfrecord")
        assert first[0][0].startswith("a.tfrecord at byte")
    assert open_there(f"{old}/*.tfrecord") == first
    old.rename(new)
    monkeypatch.chdir(tmp_path)
    assert open_there("new/*.tfrecord") == first
    assert open_there(f"{new}/?.tfrecord") == first
    (new / "b.tfrecord").unlink()
    new.rename(tmp_path / "fewer")
    with pytest.raises(ValueError, match="holds other files"):
        open_there(f"{tmp_path}/fewer/*.tfrecord")


def test_facts_of_few_pictures_hold_for_views_that_were_not_looked_at(
    samples, tmp_path
):
    """The kind: what is fitted on other data than what is trained on.

    One view of each of a dozen pictures has a fraction of their colours: those
    it lacked weighed far too much, and a blind guess got half as much again as
    its loss, or four times as much.
    """
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for path in sorted(samples.images.iterdir())[::9]:
        shutil.copy(path, pictures)
    config = config_lib.override(
        config_lib.preset_config("tiny", ["colorization"]),
        f"data.images={pictures}",
        "data.num_fit=128",
    )
    source = run.open_sources(config)["images"].training
    assert len(source) < 20
    (state,) = run.build_run(config, tmp_path / "run").states.values()
    task = state.task
    blind = tf.constant(
        np.log(task._weighted_prior / task._weighted_prior.sum() + 1e-6),
        tf.float32,
    )
    views = source.stream(
        tf.data.Dataset.range(1000, 1100),
        config.train.seed,
        skipped.SkippedExamples(),
        task.smallest_side_px,
        task.num_frames,
    )
    losses = []
    for made in task.preprocessed(iter(views)):
        target = made["target"][None]
        prediction = tf.broadcast_to(blind, [1, *target.shape[1:3], 313])
        losses.append(float(task.loss(prediction, target)[0]))
    assert np.mean(losses) < 1.3 * task.chance()["loss"]


def test_examples_that_are_compared_are_divided_evenly():
    # Kind: what one device takes, several stop at with a word of TensorFlow.
    config = config_lib.override(
        config_lib.preset_config("tiny", ["contrastive", "rotation"]),
        "contrastive.batch_size=8",
    )
    tasks = config.build_tasks()
    run._check_parts_are_equal(tasks, 4)
    with pytest.raises(ValueError, match="contrastive.batch_size=8 .* 3 dev"):
        run._check_parts_are_equal(tasks, 3)
