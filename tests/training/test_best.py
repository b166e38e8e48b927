"""The best checkpoint: by what, kept how, and known again after a kill."""

import json
import math
import shutil

import never_stops
import numpy as np
import pytest
import tensorflow as tf
import tiny_run

from mtssl_tf import pretrained
from mtssl_tf.frozen import rank
from mtssl_tf.training import best as best_lib
from mtssl_tf.training import checkpoint
from mtssl_tf.training import run_directory
from mtssl_tf.training import snapshot


def _held_out(task, loss, chance):
    return {"split": "held_out", "task": task, "loss": loss, "chance": chance}


def test_figures_by_hand():
    lines = [
        _held_out("a", 1.0, 2.0),
        _held_out("b", 3.0, 4.0),
        {"split": "train", "task": "a", "loss": 9.0, "chance": 2.0},
        {"split": rank.EVENT, rank.EVENT: {"rankme": 7.5}},
        {"split": "probe", "probe": {"knn_top1": 1.0, "linear_top1": 40.0}},
    ]
    assert best_lib.figure(lines, "loss", ["a", "b"]) == 0.625
    assert best_lib.figure(lines, "rankme", []) == 7.5
    assert best_lib.figure(lines, "probe", []) == 40.0
    for by in ("loss", "rankme", "probe"):
        assert math.isnan(best_lib.figure(lines[2:3], by, ["a", "b"]))
    # A mean over other tasks than before says nothing.
    assert math.isnan(best_lib.figure(lines, "loss", ["a", "b", "c"]))
    lines[0]["loss"] = None  # it was no number
    assert math.isnan(best_lib.figure(lines, "loss", ["a", "b"]))


@pytest.fixture
def workdir(tmp_path):
    """A run directory with a checkpoint each of steps 1 to 5."""
    (tmp_path / run_directory.CONFIG_FILE).write_text("{}")
    folder = checkpoint.checkpoint_folder.CheckpointFolder(
        tmp_path / checkpoint.FOLDER, tf.train.Checkpoint(a=tf.Variable(1.0)), 9
    )
    for step in range(1, 6):
        folder.save(step)
    return tmp_path


def _offer(best, workdir, step, value):
    lines = [{"split": rank.EVENT, rank.EVENT: {"rankme": value}}]
    is_better = best.is_better(lines)
    best.keep(step, checkpoint.path_of(workdir, step), lines)
    return is_better


def _record(workdir):
    return json.loads((workdir / "best" / "best.json").read_text())


def test_the_best_one_is_kept_and_known_at_the_next_start(workdir):
    best = best_lib.Best(workdir, "rankme", [])
    assert "Nothing" in best.describe()
    told = [_offer(best, workdir, *each) for each in ((1, 3.0), (2, None))]
    assert told == [True, False]
    again = best_lib.Best(workdir, "rankme", [])
    told = [_offer(again, workdir, *e) for e in ((3, 2.9), (4, 3.5), (5, 3.5))]
    assert told == [False, True, False]
    assert _record(workdir) == {"by": "rankme", "value": 3.5, "step": 4}
    assert checkpoint.latest(workdir / "best").endswith("ckpt-4")
    assert "step 4" in again.describe()


def test_another_measure_begins_anew(workdir, caplog):
    _offer(best_lib.Best(workdir, "rankme", []), workdir, 1, 3.0)
    best = best_lib.Best(workdir, "loss", ["a"])
    assert "is the best by rankme" in caplog.text
    lines = [_held_out("a", 9.0, 1.0)]
    best.keep(2, checkpoint.path_of(workdir, 2), lines)
    assert _record(workdir)["by"] == "loss"
    assert best.is_better([_held_out("a", 8.0, 1.0)])
    with pytest.raises(ValueError, match="none are held out"):
        best_lib.Best(workdir, "loss", [])


def test_a_disk_that_is_full_loses_nothing(workdir, monkeypatch, caplog):
    best = best_lib.Best(workdir, "rankme", [])
    _offer(best, workdir, 1, 3.0)

    def fail(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(snapshot, "copy_identity", fail)
        _offer(best, workdir, 2, 4.0)
    assert "No space left" in caplog.text
    assert _record(workdir)["step"] == 1
    # What comes later is compared with what there is.
    assert _offer(best, workdir, 3, 3.5)


def _config(samples, *assignments):
    return tiny_run.config(
        samples,
        ["exemplar"],
        "train.use_lasso=true",
        "train.keep_best=loss",
        *assignments,
    )


def test_a_run_keeps_its_best_and_a_killed_one_finds_it(samples, tmp_path):
    config = _config(samples, "train.steps=3", "train.judge_every=2")
    workdir = tmp_path / "run"
    workdir.mkdir()
    tiny_run.train(config, workdir, never_stops.NeverStops())
    best = workdir / best_lib.FOLDER
    record = _record(workdir)
    kept = pretrained.load_pretrained(str(best))
    assert checkpoint.latest(best).endswith(f"ckpt-{record['step']}")
    assert len(kept.mixes["exemplar"]) == 2  # what an export of it needs
    # Killed after the last one was saved, before it was kept.
    shutil.rmtree(best)
    tiny_run.train(config, workdir, never_stops.NeverStops())
    assert _record(workdir)["step"] == 3
    trunk = pretrained.load_pretrained(str(workdir)).trunk.get_weights()
    for one, other in zip(
        trunk, pretrained.load_pretrained(str(best)).trunk.get_weights()
    ):
        np.testing.assert_array_equal(one, other)
