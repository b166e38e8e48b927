"""What goes on from a cluster's checkpoint, on a cluster and on one machine."""

import numpy as np
import pytest
import tensorflow as tf
import tiny_run

from mtssl_tf.distribute import flat_variables
from mtssl_tf.distribute import joint_checkpoint
from mtssl_tf.distribute import shard as shard_lib
from mtssl_tf.training import checkpoint
from mtssl_tf.training import run as run_lib

_TASKS = ("colorization", "exemplar")


@pytest.fixture(name="config", scope="module")
def config_fixture(samples):
    return tiny_run.config(samples, _TASKS)


@pytest.fixture(name="build", scope="module")
def build_fixture(config, tmp_path_factory):
    """Returns what builds a run anew, as another start of it does."""

    def build():
        return run_lib.build_run(
            config,
            tmp_path_factory.mktemp("run"),
            tf.distribute.get_strategy(),
        )

    return build


def _joint(run, workdir):
    return joint_checkpoint.JointCheckpoint(
        run, workdir, num_shards=1, has_heads=False
    )


def _save(joint, steps):
    """Saves noise, as if each group had come elsewhere; returns deposits."""
    random = np.random.default_rng(0)
    deposits = {
        name: random.uniform(0.5, 1.5, vector.shape).astype(np.float32)
        for name, vector in joint.deposits().items()
    }
    arrays = {
        key: random.uniform(0.5, 1.5, array.shape).astype(np.float32)
        for key, array in joint.shard_arrays(0).items()
    }
    joint.save(steps, deposits, [arrays])
    return deposits


def _statistics(run):
    return flat_variables.FlatVariables(
        flat_variables.trunk_statistics(run.trunk)
    ).read()


def test_each_group_goes_on_with_what_it_owned(build, tmp_path):
    # To the bit, or a run that was disturbed ends otherwise than one that was
    # not. Moving statistics are the part that no other part holds.
    steps = {"colorization": 3, "exemplar": 2}
    deposits = _save(_joint(build(), tmp_path), steps)
    run = build()
    joint = _joint(run, tmp_path)
    assert joint.restore() == steps
    for name, vector in joint.deposits().items():
        np.testing.assert_array_equal(vector, deposits[name])
    size = _statistics(run).size
    np.testing.assert_array_equal(
        _statistics(run),
        np.mean([vector[-size:] for vector in deposits.values()], axis=0),
    )


def test_one_machine_goes_on_and_a_cluster_after_it(build, tmp_path):
    steps = {"colorization": 3, "exemplar": 2}
    _save(_joint(build(), tmp_path), steps)
    run = build()
    alone = checkpoint.Checkpoints(tmp_path, run.trunk, run.states)
    assert alone.restore() == steps
    shared = _statistics(run)
    values = run.trunk.trainable_variables[0].numpy()
    alone.save({"colorization": 3, "exemplar": 3})

    joint = _joint(build(), tmp_path)
    assert joint.restore() == {"colorization": 3, "exemplar": 3}
    for vector in joint.deposits().values():
        np.testing.assert_array_equal(vector[-shared.size :], shared)
    trunk = joint.shard_arrays(0)[shard_lib.TRUNK, shard_lib.VALUES]
    np.testing.assert_array_equal(trunk[: values.size], values.ravel())
