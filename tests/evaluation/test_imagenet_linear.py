"""The frozen linear evaluation, from flags to `result.json`."""

import dataclasses
import os
import shutil

import class_folder_pictures
import imports
import keras
import numpy as np
import pytest

from evaluation import imagenet_linear
from evaluation import result
from evaluation.classification import data as data_lib
from evaluation.classification import frozen_trunk
from evaluation.classification import protocol as protocol_lib
from evaluation.classification import trained_linear
from mtssl_tf.models import config as model_config


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("linear")
    class_folder_pictures.save_class_folders(root / "train", 10, seed=0)
    class_folder_pictures.save_class_folders(root / "test", 4, seed=1)
    return root


def _message(*arguments):
    """Returns what the command says of a mistake, without TensorFlow."""
    done, imported = imports.run("-m", "evaluation.imagenet_linear", *arguments)
    assert not imports.heavy(imported)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    return line


def _arguments(folders, out, **changes):
    values = {
        "trunk": "random",
        "train": folders / "train",
        "test": folders / "test",
        "out": out,
    } | changes
    return [f"--{name}={value}" for name, value in values.items()]


def test_mistakes_are_one_line_before_any_compute(folders, tmp_path):
    out = tmp_path / "out"
    assert "presett" in _message("--presett=tiny")
    assert "--train, --test, --out" in _message("--trunk=random")
    nowhere = tmp_path / "nowhere"
    assert str(nowhere) in _message(*_arguments(folders, out, train=nowhere))
    class_folder_pictures.save_class_folders(tmp_path / "other", 1)
    (tmp_path / "other" / "red").rename(tmp_path / "other" / "scarlet")
    assert "scarlet" in _message(
        *_arguments(folders, out, test=tmp_path / "other")
    )
    assert not out.exists()


def test_one_class_is_refused(tmp_path):
    for part in ("train", "test"):
        class_folder_pictures.save_class_folders(tmp_path / part, 1)
        for folder in (tmp_path / part).iterdir():
            if folder.name != "red":
                shutil.rmtree(folder)
    with pytest.raises(ValueError, match="train has one: red"):
        data_lib.open_data(str(tmp_path / "train"), str(tmp_path / "test"))


def test_pictures_that_are_trained_on_and_tested_with_are_said(
    tmp_path, caplog
):
    # A kind of fault: 100 % of pictures that the classifier has seen.
    train, test = tmp_path / "train", tmp_path / "test"
    for part in (train, test):
        class_folder_pictures.save_class_folders(part, 2)
    (tmp_path / "link").symlink_to(train)
    for one, other in (
        (train, train),
        (train, tmp_path / "link"),
        (train, f"{tmp_path}/"),
        (tmp_path, test),
        (f"{train},{test}", test),
        ("tfds:mnist:train", "tfds:mnist:train"),
    ):
        caplog.clear()
        data_lib._warn_of_overlap(str(one), str(other))
        assert "have pictures in common" in caplog.text
        assert str(other) in caplog.text
    caplog.clear()
    data_lib.open_data(str(train), str(test))
    assert not caplog.text


def test_of_four_classes_top_1_alone_is_told(folders, tmp_path, capsys):
    shutil.copytree(folders, tmp_path / "data")
    for part in ("train", "test"):
        shutil.rmtree(tmp_path / "data" / part / "red")
    got = _evaluate(tmp_path / "data", tmp_path / "out")
    assert got["metrics"]["top1"] > 60.0
    assert got["metrics"]["recall_at_5"] is None
    assert got["metrics"]["knn_recall_at_5"] is None
    assert "recall@5" not in capsys.readouterr().out


def test_a_folder_that_holds_no_trunk_is_named(folders, tmp_path, capsys):
    arguments = _arguments(folders, tmp_path / "out", trunk=folders)
    assert imagenet_linear.main(["imagenet_linear", *arguments]) == 2
    message = capsys.readouterr().err
    assert f"{folders} is no run directory" in message
    assert message.count("\n") == 1
    assert not (tmp_path / "out").exists()


def _evaluate(folders, out, **changes):
    arguments = _arguments(folders, out, **changes)
    assert imagenet_linear.main(["imagenet_linear", *arguments]) == 0
    return result.load_result(out)


def test_a_random_trunk_tells_colours_apart_both_ways(folders, tmp_path):
    got = _evaluate(folders, tmp_path, batch_norm="both")
    assert got["metrics"]["top1"] > 60.0
    assert got["metrics"]["recall_at_5"] == 100.0
    assert set(got["metrics"]["per_class_top1"]) >= {"red", "white"}
    assert got["metrics"]["knn_top1"] > 60.0
    assert got["protocol"]["batch_norm"] == "frozen"
    assert got["trunk"]["source"] == "random"
    assert got["data"]["train"]["num_pictures"] == 50
    assert got["data"]["test"]["num_classes"] == 5
    assert (tmp_path / "confusion.png").stat().st_size > 1000
    other = result.load_result(tmp_path / "reestimated")
    assert other["protocol"]["batch_norm"] == "reestimated"
    assert other["protocol_id"] != got["protocol_id"]
    assert other["metrics"]["top1"] > 60.0


def test_raw_pixels_need_no_trunk(folders, tmp_path):
    got = _evaluate(folders, tmp_path, trunk="pixels")
    assert got["trunk"]["source"] == "pixels"
    assert got["metrics"]["top1"] == 100.0


def test_a_picture_that_cannot_be_decoded_is_listed(tmp_path):
    """It ended the evaluation with a traceback that named no file."""
    for part in ("train", "test"):
        class_folder_pictures.save_class_folders(tmp_path / part, 2)
    red = tmp_path / "train" / "red"
    (red / "empty.jpg").write_bytes(b"")
    (red / "page.jpg").write_text("<!DOCTYPE html><html></html>")
    (red / "._0.jpg").write_bytes(b"AppleDouble")
    os.mkfifo(red / "pipe.jpg")
    got = _evaluate(tmp_path, tmp_path / "out", trunk="pixels")
    skipped = got["data"]["skipped"]
    assert set(skipped) == {"red/empty.jpg", "red/page.jpg"}
    assert skipped["red/empty.jpg"] == "the file is empty"


def test_lasso_writes_the_mix(folders, tmp_path):
    got = _evaluate(folders, tmp_path, lasso=True)
    mix = np.array(got["mixing_weights"]["imagenet_linear"])
    assert mix.shape == (4,)
    assert np.linalg.norm(mix) == pytest.approx(1.0, abs=1e-6)
    assert got["unit_names"][0] == "unit_01"
    assert got["metrics"]["top1"] > 60.0


_SMALL = dataclasses.replace(
    protocol_lib.PRESETS["tiny"].full,
    image_px=64,
    resize_px=64,
    train_resize_px=72,
    batch_size=16,
    epochs=4,
    lasso=model_config.LassoConfig(),
)
_SMALL_TRUNK = model_config.TrunkConfig(50, num_units=(1, 1, 2), width=0.125)


def _data(folders):
    return data_lib.open_data(str(folders / "train"), str(folders / "test"))


def _trainer(folders, protocol=_SMALL):
    data = _data(folders)
    trunk = frozen_trunk.build_frozen_trunk(
        "random", protocol, _SMALL_TRUNK, 0, data
    )
    return trained_linear.LinearTrainer(trunk, protocol, data, seed=0)


def test_training_learns_and_resumes_to_the_bit(folders, tmp_path):
    # At the preset's rate so few steps end anywhere.
    protocol = dataclasses.replace(_SMALL, epochs=10, learning_rate=0.001)
    whole = _trainer(folders, protocol)
    whole.train(tmp_path / "whole")
    scores, classes, _ = whole.score()
    assert np.mean(scores.argmax(axis=1) == classes) > 0.7
    norm = np.linalg.norm(whole.mix.mixing_weights().astype("float64"))
    assert abs(norm - 1.0) < 1e-6

    stopped = _trainer(folders, protocol)
    stopped._protocol = dataclasses.replace(protocol, epochs=2)
    stopped.train(tmp_path / "parts")
    keras.utils.set_random_seed(99)  # what went before must not matter
    resumed = _trainer(folders, protocol)
    resumed.train(tmp_path / "parts")
    np.testing.assert_array_equal(resumed.score()[0], scores)


def test_the_trunk_stays_frozen_while_the_head_trains(folders, tmp_path):
    data = _data(folders)
    trunk = frozen_trunk.build_frozen_trunk(
        "random", _SMALL, _SMALL_TRUNK, 0, data
    )
    before = [weight.copy() for weight in trunk.identity.trunk.get_weights()]
    trainer = trained_linear.LinearTrainer(trunk, _SMALL, data, seed=0)
    trainer._protocol = dataclasses.replace(_SMALL, epochs=1)
    trainer.train(tmp_path)
    for old, new in zip(before, trunk.identity.trunk.get_weights()):
        np.testing.assert_array_equal(old, new)


def test_a_step_without_gradient_shrinks_the_mix(folders):
    # A kind of fault: the threshold followed the rate of the step to come.
    protocol = dataclasses.replace(
        _SMALL, lasso=model_config.LassoConfig(l1=0.5)
    )
    trainer = _trainer(folders, protocol)
    trainer.mix.raw_weights.assign([0.6, 0.8])
    # The linear layer starts at zero: it tells the mix nothing yet.
    batch = next(iter(trainer._epoch_batches(0)))
    trainer._take_step(*batch)
    shrunk = np.array([0.6, 0.8]) - 0.5 * 0.01 / (1 - 0.9)
    np.testing.assert_allclose(
        trainer.mix.mixing_weights(), shrunk / np.linalg.norm(shrunk), rtol=1e-5
    )


def test_other_training_pictures_do_not_go_on_from_a_checkpoint(
    folders, tmp_path, capsys
):
    # A kind of fault: a folder that does not say what it was made from.
    flags = {"full": True, "epochs": 1}
    _evaluate(folders, tmp_path / "out", **flags)
    assert "Goes on" not in capsys.readouterr().out
    _evaluate(folders, tmp_path / "out", **flags)
    assert "Goes on after epoch 1" in capsys.readouterr().out
    class_folder_pictures.save_class_folders(tmp_path / "other", 2, seed=7)
    other = _arguments(
        folders, tmp_path / "out", train=tmp_path / "other", **flags
    )
    assert imagenet_linear.main(["imagenet_linear", *other]) == 2
    assert "differs in ['train']" in capsys.readouterr().err
