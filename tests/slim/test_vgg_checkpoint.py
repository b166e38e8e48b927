"""VGG-16 from the checkpoints of TF-Slim's own, built beside it."""

import numpy as np
import pytest
import slim_files
import slim_reference
import tensorflow as tf
import tensorflow.compat.v1 as tf1
import trunk_comparison

from mtssl_tf import pretrained
from mtssl_tf import slim_checkpoint as command
from mtssl_tf.models import config as model_config
from mtssl_tf.models import input_contract
from mtssl_tf.models import trunk as trunk_lib
from mtssl_tf.slim import checkpoint

_PX = 224  # fc6 has 7 x 7 places and takes no other size
_LAST_KERNEL = "vgg_16/conv5/conv5_3/weights"


@pytest.fixture(scope="module")
def slim(tmp_path_factory):
    """A checkpoint of vgg_16, a picture, and what conv5_3 makes of it."""
    image = slim_reference.random_image(_PX, _PX)
    prefix = tmp_path_factory.mktemp("vgg") / "vgg_16.ckpt"
    tf_slim, vgg = slim_reference.import_slim("vgg")
    with tf.Graph().as_default(), tf1.Session() as session:
        with tf_slim.arg_scope(vgg.vgg_arg_scope()):
            _, layers = vgg.vgg_16(
                tf.constant(image), num_classes=10, is_training=False
            )
        kept = tf1.global_variables("vgg_16/conv")
        random = np.random.default_rng(0)
        for variable in kept:
            shape = variable.shape.as_list()
            scale = np.sqrt(2 / np.prod(shape[:-1])) if len(shape) > 1 else 0.1
            values = random.normal(0, scale, shape).astype(np.float32)
            variable.load(values, session)
        # 120 million more are left out.
        kept += tf1.global_variables("vgg_16/fc8/biases")
        session.run(tf1.variables_initializer(kept[-1:]))
        saver = tf1.train.Saver(kept)
        saver.save(session, str(prefix), write_meta_graph=False)
        expected = session.run(layers["vgg_16/conv5/conv5_3"])
    return str(prefix), image, expected


def _load(path):
    return checkpoint.load_pretrained(
        path, 16, contract=input_contract.InputContract()
    )


def test_the_last_unit_is_tf_slims_convolution(slim):
    path, image, expected = slim
    loaded = _load(path)
    assert loaded.config == model_config.TrunkConfig(family="vgg16")
    assert loaded.block4 is None
    found = np.maximum(np.asarray(loaded.trunk(image)["unit_06"]), 0)
    assert expected.shape == found.shape == (1, 14, 14, 512)
    assert trunk_comparison.relative_error(found, expected) < 1e-5


def test_the_command_makes_a_run_of_it(slim, tmp_path):
    path, image, expected = slim
    args = ["import", f"--checkpoint={path}", f"--out={tmp_path / 'run'}"]
    assert command.main([*args, "--contract=vgg"]) == 0
    report = (tmp_path / "run" / command.REPORT_FILE).read_text()
    assert "after the trunk and block 4" in report
    trunk = pretrained.load_trunk(tmp_path / "run")
    means = np.array(input_contract.VGG_MEANS, np.float32)
    found = np.maximum(np.asarray(trunk(image + means)["unit_06"]), 0)
    assert trunk_comparison.relative_error(found, expected) < 1e-4


def test_a_trunk_goes_there_and_back(tmp_path):
    config = model_config.TrunkConfig(family="vgg16", width=1 / 16)
    trunk = trunk_lib.build_trunk(config)
    checkpoint.save(trunk, tmp_path / "vgg.ckpt")
    saved = slim_files.read_checkpoint(tmp_path / "vgg.ckpt")
    assert saved[_LAST_KERNEL].shape == (3, 3, 32, 32)
    loaded = _load(tmp_path / "vgg.ckpt")
    assert loaded.config == config
    for one, two in zip(trunk.get_weights(), loaded.trunk.get_weights()):
        np.testing.assert_array_equal(one, two)


def test_an_incomplete_one_is_told(tmp_path):
    config = model_config.TrunkConfig(family="vgg16", width=1 / 16)
    checkpoint.save(trunk_lib.build_trunk(config), tmp_path / "vgg.ckpt")
    saved = slim_files.read_checkpoint(tmp_path / "vgg.ckpt")
    del saved[_LAST_KERNEL]
    path = slim_files.write_checkpoint(tmp_path / "less.ckpt", saved)
    with pytest.raises(
        ValueError, match=r"Expected \(2, 2, 3, 3, 3\).*found .*3, 2\)"
    ):
        _load(path)
