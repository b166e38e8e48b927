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
from mtssl_tf.models import trunk as trunk_lib
from mtssl_tf.training import checkpoint
from mtssl_tf.training import run_directory

_OWN = """
import keras


def build(config):
    return _build(config, 8)


def of_two_widths(config):
    return _build(config, 16)


def _build(config, channels):
    image = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(8, 3, config.output_stride, "same")(image)
    y = keras.layers.Conv2D(channels, 3, 1, "same", activation="relu")(x)
    return keras.Model(image, {"a": x, "b": y})
"""


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


@pytest.mark.parametrize("family", ["own_trunks:build", "vgg16_bn"])
def test_what_labels_were_put_on_is_read_at_another_stride(
    family, tmp_path, monkeypatch
):
    # Kind: one part of what was trained keeps the rest from being read.
    (tmp_path / "own_trunks.py").write_text(_OWN)
    monkeypatch.syspath_prepend(tmp_path)
    config = config_lib.override(
        config_lib.preset_config("tiny", ["image_labels"]),
        f"trunk.family={family}",
        "trunk.width=0.125",
    )
    trunk = trunk_lib.build_trunk(config.trunk)
    block4 = trunk_lib.build_block4(
        config.trunk, channels=trunk.output[max(trunk.output)].shape[-1]
    )
    checkpoint.save_imported(tmp_path, trunk, block4)
    text = config_lib.to_json(config, version="", command="")
    (tmp_path / run_directory.CONFIG_FILE).write_text(text)
    loaded = pretrained.load_pretrained(str(tmp_path))
    assert loaded.block4 is not None
    at_8 = pretrained.load_pretrained(str(tmp_path), 8)
    assert at_8.digest == loaded.digest
    assert (at_8.block4 is None) == (family == "vgg16_bn")


def test_a_presets_stride_that_a_family_has_not(data, tmp_path, capsys):
    # Kind: a default of ours, refused as if it had been asked for.
    arguments = [
        "--preset=paper",
        "--trunk=random:densenet121",
        f"--train={data / 'train'}",
        f"--test={data / 'test'}",
        f"--out={tmp_path}",
    ]
    assert imagenet_linear.main(["imagenet_linear", *arguments]) == 2
    assert "Give --output_stride=16." in capsys.readouterr().err


def test_units_of_two_sizes_are_not_mixed(data, tmp_path, monkeypatch, capsys):
    # Kind: TensorFlow's words for what a user has chosen.
    (tmp_path / "own_trunks.py").write_text(_OWN)
    monkeypatch.syspath_prepend(tmp_path)
    arguments = [
        "--lasso",
        "--trunk=random:own_trunks:of_two_widths",
        f"--train={data / 'train'}",
        f"--test={data / 'test'}",
        f"--out={tmp_path / 'out'}",
    ]
    assert imagenet_linear.main(["imagenet_linear", *arguments]) == 2
    said = capsys.readouterr().err
    assert "units of one shape" in said and "Leave --lasso out" in said


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
