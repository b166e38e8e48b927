"""The loop of fine-tuning, on a sum that grows by one a step."""

import signal

import pytest
import tensorflow as tf

from evaluation import fine_tuning
from mtssl_tf.process import command


class _Sum:
    """Adds batches up; a batch that is no number spoils the loss."""

    num_steps = 4
    batch_size = 1
    remedy = "Take smaller numbers."

    def __init__(self):
        self._step = tf.Variable(0, dtype=tf.int64)
        self.total = tf.Variable(0.0)
        self.checkpoint = tf.train.Checkpoint(step=self._step, sum=self.total)

    @property
    def step(self):
        return int(self._step)

    def run_step(self, batch):
        self._step.assign_add(1)
        self.total.assign_add(batch)
        return {"sum": float(self.total), "other": 0.5}


class _Stop:
    """Stands in for a signal that comes during a step."""

    name = "SIGINT"
    number = signal.SIGINT

    def __init__(self, training, step):
        self._training, self._step = training, step

    @property
    def is_requested(self):
        return self._training.step == self._step


def _train(folder, batches, stop_at=-1, report=None):
    training = _Sum()
    manager = fine_tuning.restore(training.checkpoint, folder)
    fine_tuning.fine_tune(
        training,
        batches[training.step :],
        manager,
        _Stop(training, stop_at),
        report,
    )
    return training


def test_a_stopped_run_is_saved_and_goes_on(tmp_path, capsys):
    batches = [1.0, 2.0, 4.0, 8.0]
    with pytest.raises(command.Interrupted, match="SIGINT.*step 2") as stopped:
        _train(tmp_path, batches, stop_at=2)
    assert stopped.value.number == signal.SIGINT
    seen = []
    done = _train(
        tmp_path,
        batches,
        report=lambda step, losses: seen.append((step, losses)),
    )
    assert float(done.total) == 15.0
    assert [step for step, _ in seen] == [3, 4]
    assert seen[-1][1] == {"sum": 15.0, "other": 0.5}
    assert "step 4/4" in capsys.readouterr().err


def test_a_finished_run_is_restored_and_left_alone(tmp_path, capsys):
    _train(tmp_path, [1.0] * 4)
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    capsys.readouterr()
    assert float(_train(tmp_path, [1.0] * 4).total) == 4.0
    after = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert after == before
    assert not capsys.readouterr().err


def test_a_loss_that_is_not_finite_is_named_and_never_saved(tmp_path):
    with pytest.raises(
        FloatingPointError, match="sum not finite at step 2: .*nan.*smaller"
    ):
        _train(tmp_path, [1.0, float("nan"), 1.0])
    assert not list(tmp_path.iterdir())
