"""Finding mixes in run and evaluation folders, and the command."""

import json

import cv2
import imports
import pytest

from mtssl_tf.reports import metrics_log
from tools import plot_mix


def _run_folder(folder, *mixes):
    folder.mkdir(parents=True)
    lines = [{"step": 1, "split": "train", "loss": 2.0}]
    for step, mix in enumerate(mixes, start=2):
        lines.append({"step": step, "split": "train", "mixing_weights": mix})
    (folder / "metrics.jsonl").write_text(
        "".join(json.dumps(line) + "\n" for line in lines)
    )
    return folder


def _result_folder(folder, **extra):
    folder.mkdir(parents=True)
    (folder / "result.json").write_text(json.dumps({"metrics": {}, **extra}))
    return folder


def test_a_run_gives_each_tasks_last_mix(tmp_path):
    run = _run_folder(
        tmp_path / "run",
        {"exemplar": [1.0, 0.0], "colorization": [0.6, 0.8]},
        {"exemplar": [0.0, 1.0]},
    )
    with (run / "metrics.jsonl").open("a") as log:
        log.write('{"step": 9, "mixing_weights": {"exem')  # being written
    with (run / "metrics.jsonl").open("a") as log:
        log.write('\n{"step": 9, "split": "train", "mixing_weights": 5}\n')
    assert metrics_log.load_mixes(run) == {
        "exemplar": [0.0, 1.0],
        "colorization": [0.6, 0.8],
    }


def test_pretext_and_evaluation_are_told_apart(tmp_path):
    run = _run_folder(tmp_path / "run", {"exemplar": [1.0, 0.0]})
    mixes = {"imagenet_linear": [0.6, 0.8]}
    result = _result_folder(tmp_path / "linear", mixing_weights=mixes)
    assert plot_mix.read_mixes([run, result]) == (
        {"exemplar": [1.0, 0.0]},
        mixes,
    )


def test_a_mix_without_a_name_is_one_line_with_the_remedy(tmp_path):
    # A kind of fault: two forms of one entry, and a traceback at the second.
    folder = _result_folder(tmp_path / "voc", mixing_weights=[0.6, 0.8])
    done, _ = _call(f"--workdir={folder}", f"--out={tmp_path / 'mix.png'}")
    (line,) = done.stderr.splitlines()
    assert done.returncode == 2
    assert str(folder / "result.json") in line
    assert "--lasso into another --out" in line


def test_rows_of_several_folders_carry_the_folders_name(tmp_path):
    for name in ("one", "two"):
        _run_folder(tmp_path / "all" / name, {"exemplar": [1.0, 0.0]})
    pretext, evaluation = plot_mix.read_mixes([tmp_path / "all"])
    assert list(pretext) == ["all/one: exemplar", "all/two: exemplar"]
    assert not evaluation


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        plot_mix.read_mixes([tmp_path / "nowhere"])
    run = _run_folder(tmp_path / "run")
    with pytest.raises(ValueError, match="(?s)run.*--lasso"):
        plot_mix.read_mixes([run])


def _call(*arguments):
    return imports.run("-m", "tools.plot_mix", *arguments)


def test_command_draws_and_says_how_many_units_are_off(tmp_path):
    run = _run_folder(tmp_path / "run", {"exemplar": [1.0, 0.0]})
    done, _ = _call(f"--workdir={run}", f"--out={tmp_path / 'mix.png'}")
    assert done.returncode == 0
    assert "exemplar: 1 of 2 units off" in done.stdout
    assert cv2.imread(str(tmp_path / "mix.png")).ndim == 3


def test_a_mistake_is_one_line_and_no_tensorflow(tmp_path):
    done, imported = _call(f"--workdir={tmp_path}")
    (line,) = done.stderr.splitlines()
    assert done.returncode == 2 and str(tmp_path) in line
    assert not imports.heavy(imported)
