"""A path that a user typed is a path, in every command.

Kind of fault: TensorFlow takes paths for patterns, and UTF-8 alone; shells
leave the `~` of a flag alone: runs were trained that nobody found again.
"""

import json
import os

import class_folder_pictures
import pytest
import tiny_run

from evaluation import imagenet_linear
import mtssl_tf
from mtssl_tf import export
from mtssl_tf import run_settings
from mtssl_tf import slim_checkpoint
from mtssl_tf import train_flags
from mtssl_tf.training import checkpoint_folder

_ODD = os.fsdecode(b"\xe9")
_SMALL = tiny_run.SETTINGS | {"exemplar.batch_size": 4}


def _pretrain(workdir, images, steps, **settings):
    return mtssl_tf.pretrain(
        workdir,
        tasks=["exemplar"],
        images=images,
        steps=steps,
        settings=_SMALL | settings,
    )


def test_brackets_tilde_and_a_stray_byte_from_training_to_an_evaluation(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("HOME", str(tmp_path))
    images = class_folder_pictures.save_class_folders(tmp_path / "plain", 4)
    images = images.rename(tmp_path / f"p[ics]{_ODD}")
    run = tmp_path / f"exp[1]{_ODD}"
    _pretrain(f"~/exp[1]{_ODD}", f"~/p[ics]{_ODD}", 2)
    # Goes on, at another rate, with the data somewhere else.
    images = images.rename(tmp_path / f"moved[2]{_ODD}")
    _pretrain(run, images, 6, **{"exemplar.learning_rate": 1e-5})
    assert checkpoint_folder.numbers(run / "checkpoints") == [6, 2]
    settings = json.loads((run / "config.json").read_text())
    assert settings["train"]["steps"] == 6
    assert len(settings["history"]) == 1
    assert not (tmp_path / "~").exists()

    out = [f"--workdir=~/exp[1]{_ODD}", f"--out=~/out[1]{_ODD}"]
    assert export.main(["export", *out]) == 0, capsys.readouterr().err
    assert export.main(["export", *out]) == 2  # is there already
    slim = "--out=~/slim[1]/model.ckpt"
    assert slim_checkpoint.main(["export", out[0], slim]) == 0
    given = ["--checkpoint=~/slim[1]/model.ckpt", "--out=~/again[1]"]
    assert slim_checkpoint.main(["import", *given]) == 0
    # OpenCV writes under no such name.
    tested = class_folder_pictures.save_class_folders(tmp_path / "plain", 4)
    tested.rename(tmp_path / f"test[2]{_ODD}")
    for trunk in (f"exp[1]{_ODD}", f"out[1]{_ODD}", "again[1]"):
        arguments = [
            f"--trunk=~/{trunk}",
            f"--train=~/moved[2]{_ODD}",
            f"--test=~/test[2]{_ODD}",
            f"--out=~/eval[{trunk}]",
        ]
        assert imagenet_linear.main(["imagenet_linear", *arguments]) == 0
        assert (tmp_path / f"eval[{trunk}]" / "result.json").is_file()
    left = sorted(path.name for path in tmp_path.iterdir())
    assert not [name for name in left if "lock" in name or "partial" in name]


def test_other_files_under_a_new_path_are_another_run(tmp_path):
    images = class_folder_pictures.save_class_folders(tmp_path / "a", 4)
    other = class_folder_pictures.save_class_folders(tmp_path / "b", 3)
    _pretrain(tmp_path / "run", images, 1)
    with pytest.raises(ValueError, match="/b holds other files than the run"):
        _pretrain(tmp_path / "run", other, 2)


def _check(*arguments):
    train_flags.FLAGS.unparse_flags()
    train_flags.FLAGS(["train", *arguments])
    run_settings.check_paths(train_flags.config_from_flags())


def test_a_cache_that_cannot_be_written_names_the_setting(
    tmp_path, monkeypatch
):
    # A kind of fault: no home, or a read-only one, ended in a traceback from
    # inside tf.data.
    (tmp_path / "file").touch()
    videos = f"--videos={tmp_path}"
    with pytest.raises(OSError, match="cannot be written.*--set data.cache_di"):
        _check(
            "--tasks=motion_segmentation",
            videos,
            f"--set=data.cache_dir={tmp_path}/file/cache",
        )
    monkeypatch.setenv("HOME", "")
    with pytest.raises(ValueError, match="HOME is not set.*--set data.cache_d"):
        _check("--tasks=motion_segmentation", videos, "--set=train.seed=1")
    # Pictures alone need no cache.
    _check("--tasks=exemplar", f"--images={tmp_path}")
