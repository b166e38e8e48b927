"""A worker between a store and its data, in this process."""

import shutil
import time

import pytest
import tensorflow as tf
import tiny_run

from mtssl_tf.data import source as source_lib
from mtssl_tf.distribute import coordinator as coordinator_lib
from mtssl_tf.distribute import joint_checkpoint
from mtssl_tf.distribute import options as options_lib
from mtssl_tf.distribute import shard as shard_lib
from mtssl_tf.distribute import worker as worker_lib
from mtssl_tf.training import run as run_lib

_TASK = "exemplar"
_OTHERS_S = 2.0  # for which others have their turn, before one of its steps


class _Store:
    """Holds one trunk for ever, wants a deposit at a step, ends at another."""

    def __init__(self, trunk, deposit_at, end_at):
        self._trunk = trunk
        self._deposit_at = deposit_at
        self._end_at = end_at
        self.calls = []
        self.rates = []

    def begin(self, task, generation, step):
        is_over = step == self._end_at
        if step == self._deposit_at:
            time.sleep(_OTHERS_S)
        status = coordinator_lib.END if is_over else coordinator_lib.OK
        return coordinator_lib.Reply(status)

    def fetch(self, trunk):
        return [{shard_lib.TRUNK: self._trunk}]

    def stage(self, *arguments):
        pass

    def commit(self, commit, rank, shards):
        deposit = ("deposit", self._deposit_at)
        is_due = commit.step == self._deposit_at and deposit not in self.calls
        status = coordinator_lib.DEPOSIT if is_due else coordinator_lib.OK
        return coordinator_lib.Reply(status)

    def deposit(self, task, generation, step, vector):
        self.calls.append(("deposit", step))

    def report(self, record, seconds_per_step):
        self.calls.append(("report", record.task_step))
        self.rates.append(record.rates["images_per_s"])


def _worker(config, workdir, deposit_at=0, end_at=0):
    """Returns a worker of one, and its store."""
    joint = joint_checkpoint.JointCheckpoint(
        run_lib.build_run(config, workdir, tf.distribute.get_strategy()),
        workdir,
        num_shards=1,
        has_heads=False,
    )
    trunk = joint.shard_arrays(0)[shard_lib.TRUNK, shard_lib.VALUES]
    store = _Store(trunk, deposit_at, end_at)
    job = worker_lib.Job(
        config,
        workdir,
        options_lib.ClusterOptions("local", {}, mode="turns"),
        _TASK,
        rank=0,
        size=1,
        generation=1,
        step=0,
        deposit=joint.deposits()[_TASK],
    )
    made = worker_lib.Worker(
        job,
        store,
        tf.distribute.get_strategy(),
        tf.distribute.experimental.CommunicationOptions(),
    )
    return made, store


def test_a_worker_tells_all_of_its_steps_and_of_its_own_alone(
    samples, tmp_path
):
    # Who goes on from it tells of the steps after it alone: what was not told
    # before was lost. What a step took is its own: with the others' turns in
    # it, each task's price was the sum of all.
    config = tiny_run.config(samples, [_TASK], "train.log_every=4")
    worker, store = _worker(config, tmp_path, deposit_at=3, end_at=5)
    worker.train()
    assert store.calls == [("report", 3), ("deposit", 3), ("report", 4)]
    assert store.rates[-1] > config.tasks[_TASK].batch_size / _OTHERS_S


def test_data_that_cannot_be_used_end_a_worker_in_their_own_words(
    samples, tmp_path
):
    # A kind of fault: one machine names the data, a cluster said that "a
    # worker is gone" and started it again and again.
    pictures = shutil.copytree(samples.images, tmp_path / "pictures")
    config = tiny_run.config(samples, [_TASK], f"data.images={pictures}")
    worker, store = _worker(config, tmp_path, end_at=5)
    for path in pictures.iterdir():
        path.write_bytes(b"no picture")
    with pytest.raises(source_lib.SourceError, match="pictures.*in a row"):
        worker.train()
    assert not store.calls
