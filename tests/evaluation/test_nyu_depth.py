"""The command: its flags, a whole run, its resumption and its result."""

import dataclasses
import json
import subprocess
import sys

import cv2
import numpy as np
import pytest
import tensorflow as tf

from evaluation import nyu_depth
from evaluation.depth import config as depth_config
from evaluation.depth import metrics as metrics_lib
from mtssl_tf.models import config as model_config
from tools import plot_mix


@pytest.fixture
def quick_preset(monkeypatch):
    """Makes `--preset=tiny` smaller still; the trunk stays."""
    quick = dataclasses.replace(
        depth_config.PRESETS["tiny"],
        picture_size=(32, 48),
        up_filters=(8, 6, 4),
        batch_size=2,
        bn_batches=2,
    )
    monkeypatch.setitem(depth_config.PRESETS, "tiny", quick)


def _main(**flags):
    return nyu_depth.main(
        ["nyu_depth", *(f"--{name}={value}" for name, value in flags.items())]
    )


@pytest.fixture
def folder(tmp_path):
    """Eight pairs in which brighter is farther."""
    for name in ("rgb", "depth"):
        (tmp_path / "data" / name).mkdir(parents=True)
    for index in range(8):
        rng = np.random.default_rng(index)
        level = cv2.resize(rng.uniform(0.1, 0.9, (3, 4)), (160, 120))
        depth = np.uint16(500 + 3000 * level)
        picture = np.uint8(255 * np.repeat(level[..., None], 3, axis=2))
        for kind, image in (("depth", depth), ("rgb", picture)):
            cv2.imwrite(f"{tmp_path}/data/{kind}/{index}.png", image)
    return tmp_path / "data"


@pytest.mark.parametrize(
    "arguments, code, said",
    [
        (["--help"], 0, "--trunk"),
        (["--data=x", "--out=y"], 2, "--trunk is required"),
        (["--presett=tiny"], 2, "presett"),
        (["--preset=huge"], 2, "huge"),
        (["--steps=0"], 2, "--steps=0"),
        (
            ["--trunk=random", "--data=x", "--out=y", "--set=momentum=1.5"],
            2,
            "momentum must be >= 0 and < 1, got 1.5",
        ),
        (["--trunk=random", "--out=y", "--data=/no/such"], 2, "/no/such"),
    ],
)
def test_flags_are_answered_without_tensorflow(arguments, code, said):
    program = (
        "import sys; from evaluation import nyu_depth; "
        f"code = nyu_depth.main(['nyu_depth', *{arguments}]); "
        "heavy = {'tensorflow', 'keras'} & "
        "{name for name in sys.modules if hasattr(sys.modules[name], 'ops')}; "
        "print('heavy:', heavy or 'none'); sys.exit(code)"
    )
    answer = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True
    )
    assert answer.returncode == code, answer.stderr
    assert "heavy: none" in answer.stdout
    if code:
        assert answer.stderr.count("\n") == 1
    assert said in answer.stdout + answer.stderr


def test_a_run_and_its_repetition(folder, tmp_path, quick_preset, capsys):
    out = tmp_path / "out"
    flags = dict(trunk="random", data=folder, out=out, steps=2, lasso="true")
    assert _main(**flags) == 0
    result = json.loads((out / "result.json").read_text())
    metrics = result["metrics"]
    assert set(metrics) == {*metrics_lib.METRICS, "eigen_crop"}
    assert set(metrics["eigen_crop"]) == set(metrics_lib.METRICS)
    assert result["protocol_id"].startswith("nyu-depth-v1-")
    assert result["protocol"]["lasso"]["l1"] == model_config.LassoConfig().l1
    mix = result["mixing_weights"]["nyu_depth"]
    assert np.linalg.norm(mix) == pytest.approx(1.0)
    assert len(result["unit_names"]) == len(mix)
    # A kind of fault: three writers of one entry, and a reader of one form.
    assert plot_mix.read_mixes([out]) == ({}, {"nyu_depth": mix})
    assert result["protocol"]["training"]["steps"] == 2
    assert result["data"]["num_train"] == 6
    assert result["data"]["num_test"] == 2
    assert result["mean_depth_baseline"]["delta1"] > 0
    assert cv2.imread(str(out / "pictures.png")).shape[2] == 3
    served = tf.saved_model.load(str(out / "saved_model"))
    depth = served.serve(tf.zeros((1, 60, 80, 3), tf.uint8))
    assert depth.shape == (1, 60, 80)
    assert "delta1" in capsys.readouterr().out

    assert _main(**flags) == 0
    again = json.loads((out / "result.json").read_text())
    assert again["metrics"] == metrics

    assert _main(**{**flags, "seed": 1}) == 2
    assert "differs in ['seed', 'trunk']" in capsys.readouterr().err


@pytest.mark.long
def test_beats_the_mean_depth_on_real_pictures(shared_data, tmp_path):
    # Fewer steps than the preset has; docs/nyu_depth.md has those figures.
    code = _main(
        trunk="random",
        data=shared_data / "rgbd_7scenes",
        out=tmp_path,
        steps=200,
    )
    assert code == 0
    result = json.loads((tmp_path / "result.json").read_text())
    for measured, guessed in (
        (result["metrics"], result["mean_depth_baseline"]),
        (
            result["metrics"]["eigen_crop"],
            result["mean_depth_baseline"]["eigen_crop"],
        ),
    ):
        for name in metrics_lib.METRICS:
            if name in metrics_lib.HIGHER_IS_BETTER:
                ratio = (100 - measured[name]) / (100 - guessed[name])
            else:
                ratio = measured[name] / guessed[name]
            assert ratio < 0.8, name
