"""Tests for loading a trained trunk, exporting it, and its card."""

import dataclasses
import subprocess
import sys

import keras
import numpy as np
import pytest
import task_cases

from mtssl_tf import config as config_lib
from mtssl_tf import export
from mtssl_tf import pretrained
from mtssl_tf import tasks
from mtssl_tf.training import checkpoint
from mtssl_tf.training import run


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
    error = export.export_trunk(workdir, out)
    assert error < 1e-5
    return out


def test_run_and_export_hold_the_same_trunk(workdir, exported):
    from_run = pretrained.load_pretrained(str(workdir))
    from_export = pretrained.load_pretrained(str(exported))
    assert from_run.digest == from_export.digest
    assert from_run.config == from_export.config
    assert from_run.contract == from_export.contract
    assert from_run.block4 is None


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
