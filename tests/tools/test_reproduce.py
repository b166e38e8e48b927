"""The table of runs: its rows, commands, resumption and numbers."""

import dataclasses
import json
import subprocess
import sys

import pytest

from evaluation import imagenet_linear
from mtssl_tf import config as config_lib
from mtssl_tf import tasks
from tools import reproduce


@pytest.fixture
def given(tmp_path):
    values = reproduce.define_flags()
    values(
        [
            "reproduce",
            "--images=pictures",
            "--train=train",
            "--test=test",
            f"--out={tmp_path}",
            "--seeds=2",
        ]
    )
    return values


def test_rows_follow_the_registry():
    names = [row.name for row in reproduce.all_rows(has_videos=True)]
    assert names[:2] == ["pixels", "random"]
    assert set(tasks.TASKS) < set(names)
    without = [row.name for row in reproduce.all_rows(has_videos=False)]
    lost = {
        name for name, task in tasks.TASKS.items() if task.source == "videos"
    }
    assert not lost & set(without)


def test_every_trunk_is_trained_before_it_is_evaluated_both_ways(given):
    row = reproduce.Row("exemplar", ("exemplar",))
    jobs = list(reproduce.plan([row], given))
    assert [job.is_training for job in jobs] == [True, False, False] * 2
    train, last_unit, mix = (" ".join(job.command) for job in jobs[:3])
    assert "--tasks=exemplar" in train and "train.seed=0" in train
    assert f"--trunk={jobs[0].out}" in last_unit and "--lasso" not in last_unit
    assert "--lasso" in mix
    assert "train.seed=1" in " ".join(jobs[3].command)


@pytest.mark.parametrize("preset", config_lib.PRESETS)
def test_a_mix_stands_beside_the_last_unit_at_its_own_stride(given, preset):
    """The paper's Table 4: with another stride the pool would be another."""
    given.preset = preset
    jobs = list(reproduce.plan([reproduce.Row("random")], given))
    protocols = []
    for job in jobs[: len(jobs) // 2]:
        values = imagenet_linear.define_flags()
        values(["", *job.command[3:]])
        protocols.append(imagenet_linear.protocols_from_flags(values)["frozen"])
    assert protocols[0].lasso is None
    assert protocols[-1].lasso is not None
    assert dataclasses.replace(protocols[-1], lasso=None) in protocols


def test_labels_are_trained_on_labelled_pictures(given):
    row = reproduce.Row("labels", ("image_labels",), needs_labels=True)
    command = next(reproduce.plan([row], given)).command
    assert "--images=train" in command


def test_what_is_done_is_not_done_again(tmp_path):
    script = f"open({str(tmp_path / 'log')!r}, 'a').write('x')"
    job = reproduce.Job((sys.executable, "-c", script), tmp_path, True)
    reproduce.run(job)
    reproduce.run(job)
    assert (tmp_path / "log").read_text() == "x"
    command = (sys.executable, "-c", "1/0")
    failing = reproduce.Job(command, tmp_path / "no", True)
    with pytest.raises(subprocess.CalledProcessError):
        reproduce.run(failing)


def test_the_table_has_mean_and_spread(tmp_path):
    row = reproduce.Row("random")
    for seed, top1 in enumerate((40.0, 44.0)):
        for folder in ("last_unit", "last_unit/reestimated"):
            out = tmp_path / "random" / f"seed_{seed}" / folder
            out.mkdir(parents=True)
            metrics = {"top1": top1, "recall_at_5": 70.0, "knn_top1": 30.0}
            (out / "result.json").write_text(json.dumps({"metrics": metrics}))
    table = reproduce.as_table([row], "tiny", 3, tmp_path).splitlines()
    assert len(table) == 4
    assert table[2] == (
        "| random | last unit | frozen | 2 | 42.0 ± 2.8 | 70.0 ± 0.0 | "
        "30.0 ± 0.0 |"
    )


def test_mistakes_are_named(capsys):
    assert reproduce.main(["reproduce", "--images=x", "--train=y"]) == 2
    assert "--test, --out" in capsys.readouterr().err
    given = ["reproduce", "--images=x", "--train=y", "--test=z", "--out=o"]
    assert reproduce.main([*given, "--rows=rotation"]) == 2
    assert "rotation" in capsys.readouterr().err
    assert reproduce.main([*given, "--list"]) == 0
    assert "evaluation.imagenet_linear" in capsys.readouterr().out
