"""Run directories and exports of the version before still work.

`golden/older_version.tar.xz` was written by version 0.1.0 before its files
were moved into folders: a run of the four pretext tasks with a lasso after 4
steps, its export, and `expected.json`: what that version itself then got from
steps 5 to 8, and the trunk's features of a given picture.
"""

import json
import pathlib
import tarfile

import class_folder_pictures
import numpy as np
import pytest
import tensorflow as tf

from evaluation import imagenet_linear
from evaluation import result
from mtssl_tf import config as config_lib
from mtssl_tf import pretrained
from mtssl_tf import report
from mtssl_tf.data import sample_set
from mtssl_tf.process import stop_signal
from mtssl_tf.reports import metrics_log
from mtssl_tf.training import loop
from mtssl_tf.training import run as run_lib
from mtssl_tf.training import run_directory

_ARCHIVE = pathlib.Path(__file__).parent / "fixtures/golden"


@pytest.fixture(scope="module")
def older(tmp_path_factory) -> pathlib.Path:
    """The unpacked archive, with the sample set where this machine has it."""
    folder = tmp_path_factory.mktemp("older")
    with tarfile.open(_ARCHIVE / "older_version.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    samples = sample_set.build_sample_set(folder / "cache")
    for name in ("run", "export"):
        path = folder / name / run_directory.CONFIG_FILE
        settings = json.loads(path.read_text())
        settings["data"] |= {
            "images": str(samples.images),
            "videos": str(samples.videos),
            "cache_dir": str(folder / "cache"),
        }
        path.write_text(json.dumps(settings))
    return folder


@pytest.fixture(scope="module")
def expected(older) -> dict:
    return json.loads((older / "expected.json").read_text())


def _assert_alike(unit, features):
    """Compares samples with those of another machine, which rounds otherwise.

    Small ones are sums of large ones.
    """
    np.testing.assert_allclose(
        np.asarray(unit).reshape(-1)[::37][:8],
        features,
        rtol=1e-4,
        atol=1e-5 * np.abs(features).max(),
    )


@pytest.mark.parametrize("name", ["run", "export"])
def test_the_trunk_gives_the_same_features(older, expected, name):
    loaded = pretrained.load_pretrained(str(older / name))
    random = np.random.RandomState(0)
    image = random.randint(0, 256, (1, 48, 64, 3)).astype(np.uint8)
    units = loaded.trunk(loaded.contract.apply(image), training=False)
    for unit, features in expected["features"].items():
        _assert_alike(units[unit], features)
    units = pretrained.load_trunk(older / name)(image, training=False)
    for unit, features in expected["features"].items():
        _assert_alike(units[unit], features)


def test_a_run_has_its_page(older, tmp_path):
    words = report.write_report(older / "run", tmp_path / "page.html")
    assert "4 tasks trained one trunk" in words and "4 steps" in words
    assert (tmp_path / "page.html").stat().st_size > 10_000


def test_the_mixes_of_a_run_are_those_that_it_wrote(older):
    mixes = pretrained.load_pretrained(str(older / "run")).mixes
    lines = metrics_log.load_metrics(older / "run")
    for line in lines:
        assert mixes[line["task"]] == line["mixing_weights"][line["task"]]
    for mix in mixes.values():
        assert np.linalg.norm(mix) == pytest.approx(1.0, abs=1e-6)
    assert not pretrained.load_pretrained(str(older / "export")).mixes


def test_the_saved_model_gives_the_same_features(older, expected):
    model = tf.saved_model.load(str(older / "export" / "saved_model"))
    random = np.random.RandomState(0)
    image = random.randint(0, 256, (1, 48, 64, 3)).astype(np.uint8)
    units = model.signatures["uint8"](image=tf.constant(image))
    for unit, features in expected["features"].items():
        _assert_alike(units[unit], features)


def test_a_run_is_evaluated(older, tmp_path):
    for seed, part in enumerate(("train", "test")):
        class_folder_pictures.save_class_folders(tmp_path / part, 4, seed)
    arguments = [
        f"--trunk={older / 'run'}",
        f"--train={tmp_path / 'train'}",
        f"--test={tmp_path / 'test'}",
        f"--out={tmp_path / 'out'}",
    ]
    assert imagenet_linear.main(["imagenet_linear", *arguments]) == 0
    metrics = result.load_result(tmp_path / "out")["metrics"]
    assert metrics["top1"] > 60.0  # chance is 20


def test_a_run_goes_on_and_says_what_is_otherwise(older, expected, caplog):
    workdir = older / "run"
    path = workdir / run_directory.CONFIG_FILE
    config = config_lib.override(
        config_lib.from_json(path.read_text()), "train.steps=8"
    )
    with caplog.at_level("WARNING"):
        run_directory.prepare(workdir, config)
    assert "views are cut in other places" in caplog.text
    caplog.clear()
    run_directory.prepare(workdir, config)
    assert "views are cut" not in caplog.text  # said once
    trainer = loop.Trainer(run_lib.build_run(config, workdir), workdir)
    assert trainer.step == 4
    stop = stop_signal.StopSignal()
    trainer.train(stop)
    stop.hand_back()
    losses = {
        f"{line['task']}/{line['split']}": line["loss"]
        for line in metrics_log.load_metrics(workdir)
        if line["step"] == 8 and "task" in line  # its rank is of no task
    }
    assert losses.keys() == expected["losses"].keys()
    for name, loss in expected["losses"].items():
        # Other places of the same pictures; an untrained run is far off.
        assert losses[name] == pytest.approx(loss, rel=0.3), name
