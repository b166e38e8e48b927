"""Tests for loading a trained trunk, exporting it, and its card."""

import dataclasses
import json
import shutil
import subprocess
import sys

import keras
import numpy as np
import pytest
import task_cases
import yaml

from mtssl_tf import config as config_lib
from mtssl_tf import export
from mtssl_tf import export_record
from mtssl_tf import model_card
from mtssl_tf import pretrained
from mtssl_tf import tasks
from mtssl_tf.models import input_contract
from mtssl_tf.models import rgb_trunk
from mtssl_tf.training import checkpoint
from mtssl_tf.training import run
from mtssl_tf.training import run_directory


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    """A run directory whose trunk has weights unlike fresh ones."""
    folder = tmp_path_factory.mktemp("run")
    config = task_cases.small_config("exemplar")
    task = tasks.TASKS["exemplar"](config.tasks["exemplar"])
    keras.utils.set_random_seed(5)
    trunk, states = run.build_states(config, {"exemplar": task})
    random = np.random.default_rng(0)
    for variable in trunk.non_trainable_variables:
        variable.assign(random.uniform(0.5, 1.5, variable.shape))
    checkpoint.Checkpoints(folder, trunk, states).save({"exemplar": 7})
    (folder / "config.json").write_text(
        config_lib.to_json(config, version="x", command="train it")
    )
    return folder


@pytest.fixture(scope="module")
def exported(workdir, tmp_path_factory):
    out = tmp_path_factory.mktemp("out") / "export"
    record = export.export_trunk(workdir, out)
    assert record.differences.keys() == {"savedmodel", "keras"}
    assert max(record.differences.values()) < 1e-5
    return out


def test_run_and_export_hold_the_same_trunk(workdir, exported):
    from_run = pretrained.load_pretrained(str(workdir))
    from_export = pretrained.load_pretrained(str(exported))
    assert from_run.digest == from_export.digest
    assert from_run.config == from_export.config
    assert from_run.contract == from_export.contract
    assert from_run.block4 is None


@pytest.mark.parametrize("contract", ["vgg", "inception", "9,99.5,0,0.25"])
def test_the_contract_is_inside_and_applied_once(workdir, contract):
    parsed = input_contract.InputContract.parse(contract)
    bare = pretrained.load_pretrained(str(workdir)).trunk
    trunk = rgb_trunk.build_rgb_trunk(bare, parsed)
    image = np.random.default_rng(0).integers(0, 256, (2, 33, 48, 3), np.uint8)
    expected = bare(parsed.apply(image), training=False)
    for given in (image, image.astype(np.float32)):
        for name, unit in trunk(given, training=False).items():
            scale = np.abs(expected[name]).max()
            np.testing.assert_allclose(
                unit, expected[name], rtol=0, atol=2e-6 * scale
            )
    assert rgb_trunk.find_trunk(trunk) is bare
    assert len(trunk.weights) == len(bare.weights)


def test_load_trunk_takes_rgb_of_runs_and_exports(workdir, exported):
    image = np.random.default_rng(0).integers(0, 256, (1, 48, 48, 3), np.uint8)
    loaded = pretrained.load_pretrained(str(exported))
    expected = loaded.trunk(loaded.contract.apply(image))["unit_02"]
    for path in (workdir, exported):
        got = pretrained.load_trunk(path)(image)["unit_02"]
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)


def test_a_keras_file_needs_none_of_our_code_and_can_be_fitted(exported):
    trunk = keras.saving.load_model(exported / "trunk.keras")
    for layer in [*trunk.layers, *trunk.get_layer("trunk").layers]:
        assert type(layer).__module__.startswith("keras.src")
    x = keras.layers.GlobalAveragePooling2D()(trunk.output["unit_02"])
    model = keras.Model(trunk.input, keras.layers.Dense(2)(x))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("sgd", loss)
    before = [weight.copy() for weight in trunk.get_weights()]
    image = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), np.uint8)
    model.fit(image, np.array([0, 1, 0, 1]), verbose=0)
    after = trunk.get_weights()
    assert any((old != new).any() for old, new in zip(before, after))


def test_an_export_of_a_later_format_is_refused(exported, tmp_path):
    folder = tmp_path / "later"
    shutil.copytree(exported, folder)
    for text, message in (
        ('{"format": 3, "version": "9.9"}', "format 3, of version 9.9"),
        ('{"format": 2, "mixed": {}}', "damaged.*mixed"),
        ("{", "not JSON"),
    ):
        (folder / "export.json").write_text(text)
        with pytest.raises(ValueError, match=message):
            pretrained.load_pretrained(str(folder))


def test_an_export_that_cannot_be_read_says_so(exported, workdir, tmp_path):
    folder = tmp_path / "other"
    shutil.copytree(exported, folder)
    (folder / "trunk.keras").unlink()
    with pytest.raises(ValueError, match="other is an export.*--format=...,k"):
        pretrained.load_trunk(folder)
    for formats, is_read in (({"onnx": 0.0}, False), ({"keras": 0.0}, True)):
        card = model_card.write_card(
            pretrained.load_pretrained(str(workdir)),
            run_directory.load_settings(workdir),
            workdir,
            export_record.ExportRecord(differences=formats),
            "mit",
        )
        assert ("mtssl_tf.embed --trunk=." in card) == is_read
        assert ("mtssl_tf.load_trunk" in card) == is_read


@pytest.mark.parametrize(
    "names,words,is_tagged",
    [
        (["rotation", "exemplar"], "without labels, as in", True),
        (["image_labels"], "Trained with labels, on: image_labels.", False),
        (
            ["exemplar", "image_labels"],
            "exemplar; and with labels, on: i",
            True,
        ),
    ],
)
def test_a_card_says_which_tasks_had_labels(names, words, is_tagged):
    settings = {"tasks": dict.fromkeys(names), "train": {}}
    origin = model_card._describe_origin(settings)
    assert words in origin
    assert ("without labels" in origin) == is_tagged
    head = model_card._head(settings, [], "mit")
    assert ("self-supervised-learning" in head) == is_tagged


def test_weights_of_an_older_layout_are_named(exported, tmp_path):
    folder = tmp_path / "older"
    shutil.copytree(exported, folder)
    bare = pretrained.load_pretrained(str(exported)).trunk
    bare.save(folder / "trunk.keras")
    with pytest.raises(ValueError, match="holds no model named 'trunk'"):
        pretrained.load_pretrained(str(folder))
    # Without the record it is an export of format 1, and the same trunk.
    (folder / "export.json").unlink()
    older = pretrained.load_pretrained(str(folder))
    image = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3), np.uint8)
    np.testing.assert_array_equal(
        older.trunk(older.contract.apply(image))["unit_02"],
        bare(older.contract.apply(image))["unit_02"],
    )


def test_a_trunk_is_read_at_another_stride(workdir):
    image = np.random.default_rng(0).uniform(-1, 1, (1, 64, 64, 3))
    dense = pretrained.load_pretrained(str(workdir), output_stride=8)
    plain = pretrained.load_pretrained(str(workdir))
    assert dense.digest == plain.digest
    assert dense.config.output_stride == 8
    assert dense.trunk(image)["unit_01"].shape[1:3] == (8, 8)
    assert plain.trunk(image)["unit_01"].shape[1:3] == (4, 4)


def test_the_saved_model_needs_none_of_our_code(workdir, exported, tmp_path):
    random = np.random.default_rng(1)
    image = random.integers(0, 256, (1, 50, 70, 3), np.uint8)
    loaded = pretrained.load_pretrained(str(workdir))
    expected = loaded.trunk(loaded.contract.apply(image))["unit_02"]
    np.save(tmp_path / "image.npy", image)
    code = (
        "import sys, numpy as np, tensorflow as tf\n"
        f"image = np.load(r'{tmp_path}/image.npy')\n"
        f"model = tf.saved_model.load(r'{exported}/saved_model')\n"
        "out = model.signatures['uint8'](image=tf.constant(image))\n"
        f"np.save(r'{tmp_path}/out.npy', out['unit_02'].numpy())\n"
        "assert not any(m.startswith('mtssl_tf') for m in sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd="/")
    got = np.load(tmp_path / "out.npy")
    # Sums of large values: what is near zero rounds as they do.
    atol = 1e-5 * np.abs(expected).max()
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=atol)


def test_the_card_says_what_it_is(exported):
    card = (exported / "README.md").read_text()
    for text in ("exemplar", "train it", "unit_02", "123.68", "SHA-256"):
        assert text in card
    assert "none: the run has no --images" in card
    _, head, text = card.split("---\n", 2)
    assert text.lstrip().startswith("# A trunk")
    assert yaml.safe_load(head) == {
        "library_name": "keras",
        "pipeline_tag": "image-feature-extraction",
        "license": "unknown",
        "tags": ["self-supervised-learning", "mtssl_tf", "exemplar"],
    }


def test_nobody_on_the_hub_reads_where_things_lie(
    workdir, tmp_path, monkeypatch
):
    settings = json.loads((workdir / "config.json").read_text())
    # The pictures are gone, which the export says by name.
    settings["data"]["images"] = str(tmp_path / "photos")
    settings["command"] = f"train --images={tmp_path / 'photos'}"
    run = shutil.copytree(workdir, tmp_path / "run")
    (run / "config.json").write_text(json.dumps(settings))
    seen = {}

    def upload(folder, place):
        for name in ("README.md", "config.json", "export.json"):
            seen[name] = (folder / name).read_text()
        loaded = pretrained.load_pretrained(str(folder))
        assert loaded.digest in seen["README.md"]

    monkeypatch.setattr(export.hub, "check_upload", lambda place: None)
    monkeypatch.setattr(export.hub, "upload", upload)
    arguments = [f"--workdir={run}", "--out=hf://me/x", "--format=keras"]
    assert export.main(["export", *arguments]) == 0
    assert len(seen) == 3
    for text in seen.values():
        assert "photos" in text and str(tmp_path) not in text


def test_nothing_is_overwritten_or_half_written(workdir, exported, tmp_path):
    with pytest.raises(FileExistsError, match=str(exported)):
        export.export_trunk(workdir, exported)
    with pytest.raises(FileNotFoundError, match=str(tmp_path)):
        export.export_trunk(tmp_path, tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_a_run_without_a_checkpoint_is_named(workdir, tmp_path):
    text = (workdir / "config.json").read_text()
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(FileNotFoundError, match="no checkpoint"):
        pretrained.load_pretrained(str(tmp_path))


def test_random_trunks_differ_by_seed_and_need_a_shape():
    config = dataclasses.replace(task_cases.SMALL_TRUNK, output_stride=8)
    digests = [
        pretrained.load_pretrained(
            "random", random_config=config, seed=seed
        ).digest
        for seed in (0, 0, 1)
    ]
    assert digests[0] == digests[1] != digests[2]
    with pytest.raises(ValueError, match="needs a shape"):
        pretrained.load_pretrained("random")
