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


def _train(folder, batches, report=None):
    training = _Sum()
    manager = fine_tuning.restore(training.checkpoint, folder)
    fine_tuning.fine_tune(training, batches[training.step :], manager, report)
    return training


@pytest.mark.parametrize("step, where", [(2, "at step 2"), (4, "at step 4")])
def test_a_stopped_run_is_saved_and_goes_on(tmp_path, capsys, step, where):
    batches = [1.0, 2.0, 4.0, 8.0]
    before = signal.getsignal(signal.SIGINT)

    def press(now, losses):
        if now == step:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(command.Interrupted, match=f"SIGINT.*{where}") as caught:
        _train(tmp_path, batches, press)
    assert caught.value.number == signal.SIGINT
    # What comes after the steps has nothing to save.
    assert signal.getsignal(signal.SIGINT) is before
    seen = []
    done = _train(
        tmp_path, batches, lambda number, losses: seen.append((number, losses))
    )
    assert float(done.total) == 15.0
    assert [number for number, _ in seen] == list(range(step + 1, 5))
    if step == 2:
        assert seen[-1][1] == {"sum": 15.0, "other": 0.5}
        assert "step 4/4" in capsys.readouterr().err


def test_a_signal_while_the_first_step_is_built_is_not_put_off(tmp_path):
    # A kind of fault: Ctrl-C had to wait until a detector was traced.
    class Slow(_Sum):
        def run_step(self, batch):
            signal.raise_signal(signal.SIGINT)
            return super().run_step(batch)

    training = Slow()
    manager = fine_tuning.restore(training.checkpoint, tmp_path)
    with pytest.raises(KeyboardInterrupt):
        fine_tuning.fine_tune(training, [1.0, 2.0], manager)
    assert training.step == 0 and not list(tmp_path.iterdir())


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
