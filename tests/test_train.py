"""Tests for the command line: what people type, and type wrong."""

import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

import imports
import pytest
import tiny_run

_ROOT = pathlib.Path(__file__).resolve().parents[1]


def _train(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "mtssl_tf.train", *arguments],
        cwd=_ROOT,
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--taks=exemplar"], "taks"),
        (["--tasks=depth", "--workdir=x"], "'depth'.*exemplar"),
        (["--preset=huge", "--workdir=x"], "huge.*tiny"),
        (["--steps=0", "--workdir=x"], "steps"),
        (["--hours=0", "--workdir=x"], "--hours=0.0.*over 0"),
        (["--hours=nan", "--workdir=x"], "--hours=nan must be finite"),
        (
            ["--keep_best=probe", "--workdir=x"],
            "--keep_best=probe needs --probe=FOLDER",
        ),
        (["--keep_best=most", "--workdir=x"], "keep_best.*most"),
        (["--track=comet", "--workdir=x"], "--track=comet is not one of"),
        (["--weighting=luck", "--workdir=x"], "weighting.*luck.*gradnorm"),
        (
            ["--weighting=gradnorm", "--tasks=exemplar", "--workdir=x"],
            "--weighting=gradnorm shares steps .*exemplar is alone",
        ),
        (
            ["--set=train.least_share=0", "--workdir=x"],
            "least_share must be > 0 and < 1, got 0",
        ),
        (["--track=wandb:", "--workdir=x"], "--track=wandb: is not one of"),
        (
            ["--set=train.accumulate=7", "--workdir=x"],
            "train.accumulate=7 cuts .*batch_size",
        ),
        (["--hours=1", "--steps=3", "--workdir=x"], "--steps=3 and --hours=1"),
        (["--hours=1", "--cluster=local", "--workdir=x"], "with --cluster"),
        (["--hours=1", "--dry_run"], "with --dry_run"),
        (["--gpu_hours=1", "--workdir=x"], "--gpu_hours=1 needs --costs"),
        (["--costs=no.json", "--workdir=x"], "no.json is missing.*--calibr"),
        (["--calibrate"], "--calibrate needs --costs"),
        (["--snapshot_every=-1", "--workdir=x"], "snapshot_every"),
        (["--profile=5", "--workdir=x"], "--profile=5.*START:STOP"),
        (["--set=train.stepz=5", "--workdir=x"], "stepz.*steps"),
        (["--images=/no/such", "--workdir=x"], "--images=/no/such"),
        (["--images=,", "--workdir=x"], "names nothing beside a comma"),
        (
            ["--images=/tmp", "--probe=/no/such", "--workdir=x"],
            "--probe=/no/such is no folder",
        ),
        (["--set=data.cache_dir=", "--workdir=x"], "data.cache_dir is empty"),
        (
            [
                *("--videos=/tmp", "--tasks=motion_segmentation"),
                *("--set=data.cache_dir=/tmp/x/cache", "--workdir=x"),
            ],
            "/tmp/x/cache lies in --videos=/tmp",
        ),
        (
            ["--images=/tmp", "--tasks=motion_segmentation", "--workdir=x"],
            "--videos",
        ),
        (["--tasks=exemplar"], "--workdir"),
        (["exemplar", "--workdir=x"], "exemplar"),
    ],
)
def test_mistakes_answer_at_once_with_exit_code_2(arguments, message, tmp_path):
    done, imported = imports.run("-m", "mtssl_tf.train", *arguments, cwd=_ROOT)
    assert done.returncode == 2
    (line,) = done.stderr.strip().splitlines()
    assert re.search(message, line), line
    assert not imports.heavy(imported)
    assert not (_ROOT / "x").exists()


@pytest.mark.parametrize(
    "source, recipe, tasks, left_out",
    [
        (
            "images",
            "ours",
            ["relative_position", "colorization", "exemplar"],
            1,
        ),
        ("videos", "ours", ["motion_segmentation"], 3),
        ("images", "best", ["exemplar"], 1),
    ],
)
def test_without_a_source_its_tasks_are_left_out_and_it_is_said(
    samples, source, recipe, tasks, left_out, train_here
):
    given = (f"--{source}={getattr(samples, source)}", f"--recipe={recipe}")
    code, out, said = train_here(*given, "--dry_run", *tiny_run.FLAGS)
    assert code == 0
    settings, _ = json.JSONDecoder().raw_decode(out)
    assert list(settings["tasks"]) == tasks
    assert len(re.findall("is left out", said)) == left_out


def test_help_imports_no_tensorflow():
    code = (
        "import sys; from mtssl_tf import train; "
        "sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=_ROOT, check=True)
    done = _train("--help")
    assert "lasso" in done.stdout


def test_an_unwritable_workdir_is_named(samples, tmp_path):
    (tmp_path / "file").touch()
    done = _train(
        "--tasks=exemplar",
        f"--images={samples.images}",
        f"--workdir={tmp_path}/file/run",
    )
    assert done.returncode == 2
    assert f"{tmp_path}/file/run" in done.stderr


def test_a_run_stops_on_sigterm_resumes_and_refuses_changes(
    samples, tmp_path, train_here
):
    workdir = tmp_path / "run"
    arguments = [
        "--tasks=exemplar",
        f"--images={samples.images}",
        f"--workdir={workdir}",
        "--steps=100000",
        "--set=exemplar.batch_size=4",
        *tiny_run.FLAGS,
    ]
    process = subprocess.Popen(
        [sys.executable, "-m", "mtssl_tf.train", *arguments],
        cwd=_ROOT,
        stderr=subprocess.PIPE,
        text=True,
    )
    metrics = workdir / "metrics.jsonl"
    deadline = time.monotonic() + 240
    while not (metrics.exists() and metrics.read_text()):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.2)
    process.send_signal(signal.SIGTERM)
    _, log = process.communicate(timeout=120)
    assert process.returncode == 128 + signal.SIGTERM
    assert "SIGTERM" in log
    saved = max(
        int(path.stem.split("-")[1])
        for path in (workdir / "checkpoints").glob("ckpt-*.index")
    )
    settings = json.loads((workdir / "config.json").read_text())
    assert settings["command"] and settings["version"]

    code, _, said = train_here(*arguments, "--set=train.momentum=0.5")
    assert code == 2
    assert "momentum: 0.9 -> 0.5" in said

    arguments[3] = f"--steps={saved + 2}"
    code, _, said = train_here(*arguments)
    assert code == 0, said
    assert f"Going on from step {saved}" in said
    assert f"step {saved + 2}: saved, done" in said


def test_another_folder_is_not_taken_for_a_run(samples, tmp_path, train_here):
    (tmp_path / "thesis.txt").write_text("important")
    code, _, said = train_here(
        "--tasks=exemplar",
        f"--images={samples.images}",
        f"--workdir={tmp_path}",
    )
    assert code == 2
    assert "not empty" in said
    assert os.listdir(tmp_path) == ["thesis.txt"]


@pytest.mark.parametrize(
    "task, flag, name",
    [
        ("motion_segmentation", "videos", "clip.mp4"),
        ("relative_position", "images", "picture.jpg"),
    ],
)
def test_a_source_that_cannot_be_used_is_one_clear_error(
    task, flag, name, tmp_path, train_here
):
    broken = tmp_path / "source" / name
    broken.parent.mkdir()
    broken.write_bytes(b"\xff\xd8 no more")
    code, _, said = train_here(
        f"--tasks={task}",
        f"--{flag}={broken.parent}",
        f"--workdir={tmp_path}/run",
        f"--set=data.cache_dir={tmp_path}/cache",
        *tiny_run.FLAGS,
    )
    assert code == 2
    last = said.strip().splitlines()[-1]
    assert str(broken.parent) in last
    assert "Traceback" not in said
