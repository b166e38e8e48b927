"""Small TF-Slim checkpoints on disk, for the tests of the importer."""

import functools
import pathlib
import tempfile

import numpy as np
import slim_reference
import tensorflow as tf
import tensorflow.compat.v1 as tf1

from mtssl_tf import slim_checkpoint
from mtssl_tf.trunk import build_block4
from mtssl_tf.trunk import build_trunk
from mtssl_tf.trunk import TrunkConfig

TINY = TrunkConfig(num_units=(1, 1, 2), width=1 / 16)
KERNEL = "resnet_v2/block2/unit_1/bottleneck_v2/conv2/weights"
# What weights are before a test loads some.
BEFORE = 7.0


def write_checkpoint(prefix, arrays, version="V2"):
    """Writes {name: array} with TensorFlow 1's Saver; returns the prefix."""
    prefix = pathlib.Path(prefix)
    prefix.parent.mkdir(parents=True, exist_ok=True)
    with tf.Graph().as_default(), tf1.Session() as session:
        for name, array in arrays.items():
            tf1.get_variable(name, initializer=array)
        session.run(tf1.global_variables_initializer())
        saver = tf1.train.Saver(
            write_version=getattr(tf1.train.SaverDef, version)
        )
        saver.save(session, str(prefix), write_meta_graph=False)
    return str(prefix)


def read_checkpoint(prefix):
    """Returns {name: array}."""
    reader = tf.train.load_checkpoint(str(prefix))
    names = reader.get_variable_to_shape_map()
    return {name: reader.get_tensor(name) for name in names}


@functools.cache
def tiny_arrays():
    """Returns weights of a tiny trunk with block 4, by TF-Slim's names."""
    with tempfile.TemporaryDirectory() as folder:
        prefix = f"{folder}/all.ckpt"
        slim_checkpoint.save(
            build_trunk(TINY), prefix, block4=build_block4(TINY)
        )
        saved = read_checkpoint(prefix)
    shapes = {name: array.shape for name, array in saved.items()}
    return slim_reference.random_weights(shapes)


def filled_trunk():
    """Returns a tiny trunk whose weights are all `BEFORE`."""
    trunk = build_trunk(TINY)
    for variable in trunk.weights:
        variable.assign(np.full(variable.shape, BEFORE, np.float32))
    return trunk


def assert_untouched(trunk):
    """Fails if anything was loaded into a `filled_trunk`."""
    for variable in trunk.weights:
        assert np.all(variable.numpy() == BEFORE), variable.path
