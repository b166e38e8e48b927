"""Tests for a run that begins with the trunk of another."""

import shutil

import numpy as np
import pytest
import tiny_run

import mtssl_tf
from mtssl_tf import model_card
from mtssl_tf import pretrained
from mtssl_tf.training import checkpoint
from mtssl_tf.training import run_directory

_SETTINGS = tiny_run.SETTINGS | {"exemplar.batch_size": 4}


@pytest.fixture(scope="module")
def images(samples):
    return samples.images


def _pretrain(workdir, images, steps, settings=None, **options):
    return mtssl_tf.pretrain(
        workdir,
        tasks=["exemplar"],
        images=images,
        steps=steps,
        settings=_SETTINGS | (settings or {}),
        **options,
    )


@pytest.fixture(scope="module")
def old(images, tmp_path_factory):
    folder = tmp_path_factory.mktemp("old") / "run"
    _pretrain(folder, images, 2)
    return folder


def _restored_at_start(workdir):
    """The trunk's weights in the checkpoint of step 0."""
    loaded = pretrained.load_pretrained(str(workdir))
    path = checkpoint.path_of(workdir, 0)
    checkpoint.restore_trunk(path, loaded.trunk)
    return loaded.trunk.get_weights()


def test_the_trunk_is_the_old_one_once(old, images, tmp_path):
    gone, workdir = tmp_path / "gone", tmp_path / "run"
    shutil.copytree(old, gone)
    _pretrain(workdir, images, 1, from_weights=gone)
    expected = pretrained.load_pretrained(str(old)).trunk.get_weights()
    for one, other in zip(expected, _restored_at_start(workdir), strict=True):
        np.testing.assert_array_equal(one, other)
    shutil.rmtree(gone)  # nobody asks for it any more
    _pretrain(workdir, images, 2, from_weights=gone)
    assert checkpoint.step_of(checkpoint.latest(workdir)) == 2
    settings = run_directory.load_settings(workdir)
    assert f"`{gone}`" in model_card._describe_origin(settings)


def test_a_slim_checkpoint_does_too(old, images, tmp_path):
    loaded = pretrained.load_pretrained(str(old))
    prefix = tmp_path / "slim" / "trunk"
    prefix.parent.mkdir()
    mtssl_tf.save_slim(loaded.trunk, str(prefix), contract=loaded.contract)
    _pretrain(tmp_path / "run", images, 1, from_weights=prefix)
    found = _restored_at_start(tmp_path / "run")
    for one, other in zip(loaded.trunk.get_weights(), found, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"trunk.width": 0.25}, r"width 0.125.*width 0.25.*\(7, 7, 3, 8\)"),
        ({"trunk.num_units": (1, 1, 3)}, r"\(1, 1, 2\).*\(1, 1, 3\)"),
        ({"contract.scale": 0.5}, "contract.scale=1.0"),
    ],
)
def test_what_does_not_fit_is_refused(settings, message, old, images, tmp_path):
    with pytest.raises(ValueError, match=message):
        _pretrain(tmp_path, images, 1, settings, from_weights=old)
    assert not (tmp_path / run_directory.CONFIG_FILE).exists()
