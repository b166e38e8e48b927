"""Each family of trunks from pretraining to what is read from it."""

import pathlib
import sys

import class_folder_pictures
import each_change
import numpy as np
import pytest
import tiny_families

from evaluation import imagenet_linear
from evaluation import result
import mtssl_tf
from mtssl_tf import config as config_lib
from mtssl_tf import export
from mtssl_tf import pretrained
from mtssl_tf.files import hub
from mtssl_tf.models import families
from mtssl_tf.training import run_directory


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("data")
    class_folder_pictures.save_class_folders(folder / "train", 8, seed=0)
    class_folder_pictures.save_class_folders(folder / "test", 4, seed=1)
    return folder


@pytest.fixture(
    scope="module", params=each_change.only("vgg16", of=families.FAMILIES)
)
def run(request, data, tmp_path_factory) -> pathlib.Path:
    """A run of two steps with a lasso, and `export` beside it."""
    folder = tmp_path_factory.mktemp(request.param)
    config = tiny_families.CONFIGS[request.param]
    mtssl_tf.pretrain(
        folder / "run",
        tasks=["exemplar"],
        images=data / "train",
        steps=2,
        lasso=True,
        settings={
            "trunk.num_units": config.num_units,
            "trunk.width": config.width,
            "trunk.family": request.param,
            "exemplar.batch_size": 4,
            "train.judge_batches": 1,
        },
    )
    record = export.export_trunk(folder / "run", folder / "export")
    assert max(record.differences.values()) < 1e-5
    return folder / "run"


def test_run_and_export_hold_the_same_trunk(run):
    loaded = pretrained.load_pretrained(str(run))
    exported = pretrained.load_pretrained(str(run.with_name("export")))
    assert loaded.digest == exported.digest
    assert loaded.config == exported.config
    assert loaded.channels == loaded.config.unit_channels
    card = (run.with_name("export") / export.CARD_FILE).read_text()
    assert f"| trunk | {loaded.config.title}, units" in card


def test_config_json_holds_the_family(run):
    config = run_directory.load_config(run)
    assert config.trunk.num_units is not None
    assert config_lib.from_json(config_lib.to_json(config)) == config


@pytest.mark.parametrize("flags", [(), ("--lasso",)])
def test_the_linear_evaluation_reads_it(run, data, flags, tmp_path):
    arguments = [
        f"--trunk={run.with_name('export')}",
        f"--train={data / 'train'}",
        f"--test={data / 'test'}",
        f"--out={tmp_path}",
        *flags,
    ]
    assert imagenet_linear.main(["imagenet_linear", *arguments]) == 0
    found = result.load_result(tmp_path)
    assert found["metrics"]["top1"] > 40.0  # chance is 20
    loaded = pretrained.load_pretrained(str(run))
    assert found["trunk"]["config"]["family"] == loaded.config.family
    if flags:
        assert found["unit_names"] == sorted(loaded.trunk.output)


def test_pictures_are_embedded(run, data):
    loaded = pretrained.load_pretrained(str(run))
    for options in ({}, {"lasso": "exemplar"}, {"unit": "unit_01"}):
        made = mtssl_tf.embed(run.with_name("export"), data / "test", **options)
        assert "from its export" in made.statistics
        assert made.vectors.shape == (20, loaded.channels)
        assert np.isfinite(made.vectors).all()


def test_another_familys_weights_are_no_start(run, data, tmp_path):
    own = run_directory.load_config(run).trunk
    other = "vgg16" if own.family != "vgg16" else "densenet121"
    with pytest.raises(ValueError, match=f"trunk of {own.title}.*trunk.family"):
        mtssl_tf.pretrain(
            tmp_path / "run",
            tasks=["exemplar"],
            images=data / "train",
            steps=1,
            from_weights=run,
            settings={"trunk.family": other, "trunk.width": own.width},
        )


@pytest.mark.parametrize(
    "name", each_change.only("vgg16", of=families.FAMILIES)
)
def test_a_random_one_is_the_floor(name):
    shape = config_lib.PRESETS["tiny"].trunk
    source = f"random:{name}"
    loaded = pretrained.load_pretrained(source, 16, shape, seed=1)
    assert loaded.config.family == name
    assert loaded.config.width == shape.width
    assert loaded.source == source
    again = pretrained.load_pretrained(source, 16, shape, seed=1)
    other = pretrained.load_pretrained(source, 16, shape, seed=2)
    assert loaded.digest == again.digest != other.digest


def test_a_random_one_of_no_family():
    shape = config_lib.PRESETS["tiny"].trunk
    with pytest.raises(ValueError, match="no family of trunks 'resnet'"):
        pretrained.load_pretrained("random:resnet", 16, shape)


def test_a_strangers_function_is_not_called(tmp_path, monkeypatch):
    # What comes from a hub must not choose a module of this machine.
    config = config_lib.preset_config("tiny", ["exemplar"])
    config = config_lib.override(config, "trunk.family=antigravity:fly")
    text = config_lib.to_json(config, version="", command="")
    (tmp_path / run_directory.CONFIG_FILE).write_text(text)
    monkeypatch.setattr(hub, "download", lambda source: tmp_path)
    with pytest.raises(ValueError, match="antigravity:fly builds") as error:
        pretrained.load_pretrained("hf://ann/trunk")
    assert "\n" not in str(error.value)
    assert "antigravity" not in sys.modules
