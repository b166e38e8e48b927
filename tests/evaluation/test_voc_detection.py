"""The program: flags, mistakes, scoring, and a whole small run."""

import dataclasses
import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from evaluation import voc_detection
from evaluation.detection import files
from evaluation.detection import pictures
from evaluation.detection import protocol as protocol_lib
from evaluation.detection import scored_boxes
from evaluation.detection import voc_data
from mtssl_tf import settings
from tools import plot_mix

_ROOT = pathlib.Path(__file__).resolve().parents[2]
# A run, and one of other settings in the same folder.
_TWICE = """
import sys
from evaluation import voc_detection
words = ["voc_detection", *sys.argv[1:]]
assert voc_detection.main(words) == 0
sys.exit(voc_detection.main([*words, "--set=steps=3"]))
"""


def _main(*flags):
    return voc_detection.main(["voc_detection", *flags])


def test_help_and_mistakes_answer_without_tensorflow():
    text = (
        "import sys; from evaluation import voc_detection as program\n"
        "code = program.main(sys.argv)\n"
        "heavy = {'tensorflow', 'keras', 'tf_keras', 'matplotlib.pyplot'}\n"
        "sys.exit(100 if heavy & set(sys.modules) else code)"
    )
    for flags, code in ((["--help"], 0), (["--tarin=x"], 2)):
        answer = subprocess.run(
            [sys.executable, "-c", text, *flags],
            cwd=_ROOT,
            capture_output=True,
            text=True,
        )
        assert answer.returncode == code, answer.stderr
    assert "tarin" in answer.stderr


@pytest.mark.parametrize(
    "flags, said",
    [
        (["--data=x", "--out=y"], "--trunk is required"),
        (["--trunk=random", "--data=x"], "--out is required"),
        (["--trunk=random", "--out=x"], "--data is required"),
        (["--score=x"], "--data is required"),
        (["stray", "--score=x", "--data=y"], "stray"),
        (["--preset=huge"], "huge"),
        (["--score=x", "--data=nowhere"], "nowhere is no VOC devkit"),
        (
            ["--score=x", "--data=y", "--set=steps=many"],
            "--set 'steps=many': expected a value of type int, got 'many'",
        ),
        (["--score=x", "--data=y", "--set=speed=1"], "'speed=1': expected"),
    ],
)
def test_a_mistake_is_one_clear_line(flags, said, capsys):
    assert _main(*flags) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.startswith("voc_detection: ")


def _changed(assignments):
    return settings.replace_all(
        protocol_lib.VocDetectionProtocol(), assignments
    )


@pytest.mark.parametrize(
    "assignment, name, value",
    [
        ("steps=12", "steps", 12),
        ("learning_rate=1", "learning_rate", 1.0),
        ("learning_rate=2e-3", "learning_rate", 2e-3),
        ("train_short_sides_px=64,96", "train_short_sides_px", (64, 96)),
        ("train_short_sides_px=(64, 96)", "train_short_sides_px", (64, 96)),
        ("train_short_sides_px=[64]", "train_short_sides_px", (64,)),
        ("train_short_sides_px=64", "train_short_sides_px", (64,)),
        ("decay_steps=", "decay_steps", ()),
        ("freeze_batch_norm=false", "freeze_batch_norm", False),
        ("freeze_batch_norm=False", "freeze_batch_norm", False),
    ],
)
def test_settings_are_read_by_type(assignment, name, value):
    protocol = _changed([assignment])
    found = getattr(protocol, name)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    "assignment, said",
    [
        ("steps=1.5", "1.5"),
        ("steps=0", "steps must be > 0, got 0"),
        ("nms_iou=1.5", "> 0 and <= 1, got 1.5"),
        ("learning_rate=1e999", "learning_rate must be finite"),
        ("train_proposals=5", "train_proposals must be tuple"),
        ("train_proposals=500,100", r"roi_samples=128 .*\(500, 100\)"),
        ("canvas_multiple_px=50", "multiple of 16.*50"),
        ("roi_crop=7", "even.*7"),
        ("use_flips=1", "type bool, got '1'"),
        ("train_short_sides_px=", "px must hold a number or more"),
        ("steps", "NAME=VALUE"),
    ],
)
def test_impossible_settings_are_refused(assignment, said):
    with pytest.raises(ValueError, match=said):
        _changed([assignment])


def test_a_setting_changes_the_protocols_id():
    protocol = protocol_lib.VocDetectionProtocol()
    assert protocol.id.startswith("voc_detection-v1-")
    assert protocol.id == _changed(["nms_iou=0.3"]).id
    assert protocol.id != _changed(["nms_iou=0.4"]).id


def test_whole_ratios_give_the_id_of_floats():
    # A kind of fault: values that are equal, and two ids.
    protocol = protocol_lib.VocDetectionProtocol(anchor_ratios=(0.5, 1, 2))
    assert protocol.id == protocol_lib.VocDetectionProtocol().id


def test_settings_that_only_fit_together_are_changed_together():
    protocol = _changed(["train_proposals=500,100", "roi_samples=64"])
    assert protocol.train_proposals == (500, 100)


def test_only_a_lasso_is_told_apart_from_before():
    # A kind of fault: code changes what a setting means, and the id stays.
    protocol = protocol_lib.VocDetectionProtocol()
    assert protocol.id == "voc_detection-v1-b0207ac0"
    mixed = dataclasses.replace(protocol, use_lasso=True)
    assert "1 - momentum" in mixed.settings()["proximal_step"]


@pytest.fixture(scope="module")
def split(shared_data):
    return voc_data.load_split(str(shared_data / "voc2012"), "val", True)


def _perfect(split):
    truth = split.ground_truth()
    return scored_boxes.Detections(
        truth.pictures,
        truth.classes,
        truth.boxes,
        np.linspace(1, 0.6, len(truth.classes)),
    )


def test_scores_a_file_of_detections(split, shared_data, tmp_path, capsys):
    names = [picture.name for picture in split.pictures]
    path = tmp_path / "perfect.json"
    files.save_json(path, _perfect(split), names)
    code = _main(
        f"--score={path}",
        f"--data={shared_data / 'voc2012'}",
        "--test=val",
        "--strict",
        f"--out={tmp_path / 'out'}",
    )
    assert code == 0
    assert "100.0" in capsys.readouterr().out
    record = json.loads(
        (tmp_path / "out" / voc_detection.METRICS_FILE).read_text()
    )
    assert record["metrics"]["map_50"] == pytest.approx(100)
    assert record["data"]["pictures"] == 37
    for name in ("precision_recall.png", "best.png", "worst.png"):
        assert (tmp_path / "out" / name).stat().st_size > 10_000


def test_a_picture_that_cannot_be_drawn_is_scored(
    split, shared_data, tmp_path, caplog
):
    # A kind of fault: an ornament fails, and what it adorns is never written.
    devkit = tmp_path / "devkit"
    (devkit / "JPEGImages").mkdir(parents=True)
    for name in ("Annotations", "ImageSets"):
        (devkit / name).symlink_to(shared_data / "voc2012" / name)
    for picture in split.pictures:
        content = picture.file.read_bytes()
        if picture is split.pictures[0]:
            content = content[: len(content) // 4]
        (devkit / "JPEGImages" / picture.file.name).write_bytes(content)
    path = tmp_path / "perfect.json"
    files.save_json(
        path, _perfect(split), [picture.name for picture in split.pictures]
    )
    out = tmp_path / "out"
    code = _main(
        f"--score={path}", f"--data={devkit}", "--test=val", f"--out={out}"
    )
    assert code == 0
    assert (out / "worst.png").stat().st_size > 10_000
    record = json.loads((out / voc_detection.METRICS_FILE).read_text())
    assert record["metrics"]["map_50"] == pytest.approx(100)
    assert f"Not drawn: Picture {split.pictures[0].name}" in caplog.text


def test_pictures_are_judged_by_f1(split):
    found = _perfect(split)
    counts = ~split.ground_truth().is_ignored
    judged = pictures._judge_pictures(split, found)
    assert all(one.f1 == 1 for one in judged)
    assert sum(int(one.is_true.sum()) for one in judged) == counts.sum()
    nothing = found.take(np.zeros(0, int))
    judged = pictures._judge_pictures(split, nothing)
    assert all(one.f1 == 0 for one in judged)
    assert sum(int(one.is_missed.sum()) for one in judged) == counts.sum()


def test_a_whole_run_and_its_repetition(shared_data, tmp_path):
    # In a process of its own: it makes all of a process deterministic.
    command = [
        sys.executable,
        "-c",
        _TWICE,
        "--trunk=random",
        "--preset=tiny",
        f"--data={shared_data / 'voc2012'}",
        "--train=train",
        "--test=val",
        f"--out={tmp_path}",
        "--lasso",
        "--set=steps=2",
        "--set=train_short_sides_px=96",
        "--set=train_long_side_px=128",
        "--set=test_short_side_px=96",
        "--set=test_long_side_px=128",
        "--set=canvas_multiple_px=128",
        "--set=batch_norm_batches=1",
    ]
    done = subprocess.run(
        command, cwd=_ROOT, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 2, done.stderr
    assert "differs in ['protocol_id']" in done.stderr
    result = json.loads((tmp_path / "result.json").read_text())
    names = {"map_50", "map_75", "map_50_all_point", "coco_ap", "ap_50"}
    assert names <= set(result["metrics"])
    assert result["trunk"]["source"] == "random"
    assert result["data"]["train"]["pictures"] == 37
    assert len(result["mixing_weights"]["voc_detection"]) == 4
    assert result["unit_names"][0] == "unit_01"
    # A kind of fault: three writers of one entry, and a reader of one form.
    assert plot_mix.read_mixes([tmp_path]) == ({}, result["mixing_weights"])
    for name in ("detections.json", "saved_model", "tensorboard"):
        assert (tmp_path / name).exists()
