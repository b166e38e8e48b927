"""Training of a depth model: it learns, resumes to the bit, and stops."""

import dataclasses
import os
import signal

import keras
import numpy as np
import pytest

from evaluation.depth import batches
from evaluation.depth import config as depth_config
from evaluation.depth import model as model_lib
from evaluation.depth import pairs as pairs_lib
from evaluation.depth import training as training_lib
from mtssl_tf.models import config as model_config
from mtssl_tf.models import input_contract
from mtssl_tf.models import trunk
from mtssl_tf.process import command

_CONFIG = depth_config.DepthConfig(
    picture_size=(32, 48),
    up_filters=(8, 6, 4),
    bn_decay=0.9,
    batch_size=4,
    steps=4,
    learning_rate=0.05,
    warmup_steps=2,
    augmentation=depth_config.AugmentationConfig(max_scale=1.1),
)


class _Pairs:
    """Eight pictures in which brighter is farther."""

    def __init__(self, depth_scale=1.0):
        self._depth_scale = depth_scale

    def __len__(self):
        return 8

    def __getitem__(self, index):
        rng = np.random.default_rng(index)
        level = rng.uniform(0.1, 0.9, (2, 3)).repeat(16, 0).repeat(16, 1)
        rgb = np.repeat(np.uint8(255 * level)[..., None], 3, axis=2)
        depth = np.float32((0.5 + 3.0 * level) * self._depth_scale)
        depth[:3, :5] = 0.0
        return pairs_lib.DepthPair(str(index), rgb, depth)

    def fingerprint(self):
        return "eight"


def _new_training(config=_CONFIG, num_units=1, lasso=None):
    keras.utils.set_random_seed(1)
    trunk_config = model_config.TrunkConfig(
        depth=50, num_units=(1, 1, num_units), width=0.125, bn_decay=0.9
    )
    model = model_lib.build_depth_model(
        trunk.build_trunk(trunk_config),
        config.up_filters,
        config.bn_decay,
        2.0,
        lasso,
    )
    return training_lib.build_training(
        model, input_contract.InputContract(), config
    )


def _state(training):
    variables = [*training.model.variables, *training.optimizer.variables]
    return [keras.ops.convert_to_numpy(variable) for variable in variables]


class _StopAfter(batches.DepthBatches):
    """Sends this process a SIGTERM after its first step."""

    def batches(self, start, stop):
        for number, batch in enumerate(super().batches(start, stop)):
            if number == 1:
                os.kill(os.getpid(), signal.SIGTERM)
            yield batch


def test_stopped_and_resumed_equals_uninterrupted(tmp_path):
    whole = _new_training()
    training_lib.train(
        whole,
        batches.DepthBatches(_Pairs(), _CONFIG, 0),
        tmp_path / "whole",
    )
    assert whole.step == 4

    first = _new_training()
    with pytest.raises(command.Interrupted, match="SIGTERM.*step") as stopped:
        training_lib.train(
            first, _StopAfter(_Pairs(), _CONFIG, 0), tmp_path / "parts"
        )
    assert stopped.value.number == signal.SIGTERM
    assert 1 <= first.step < 4

    second = _new_training()
    training_lib.train(
        second,
        batches.DepthBatches(_Pairs(), _CONFIG, 0),
        tmp_path / "parts",
    )
    assert second.step == 4
    for expected, resumed in zip(_state(whole), _state(second)):
        np.testing.assert_array_equal(expected, resumed)


def test_finished_training_is_restored_and_left_alone(tmp_path):
    config = dataclasses.replace(_CONFIG, steps=1)
    done, again = _new_training(config), _new_training(config)
    for training in (done, again):
        training_lib.train(
            training, batches.DepthBatches(_Pairs(), config, 0), tmp_path
        )
    for expected, restored in zip(_state(done), _state(again)):
        np.testing.assert_array_equal(expected, restored)


def test_loss_falls(tmp_path, capsys):
    config = dataclasses.replace(_CONFIG, steps=200, learning_rate=0.05)
    training = _new_training(config)
    pictures, depths = batches.DepthBatches(_Pairs(), config, 9).batch(0)

    def error():
        inputs = training.contract.apply(pictures)
        predictions = training.model(inputs, training=True).numpy()
        return np.abs(predictions - depths)[depths > 0].mean()

    before = error()
    training_lib.train(
        training, batches.DepthBatches(_Pairs(), config, 0), tmp_path
    )
    assert error() < 0.6 * before  # 0.27 on one machine
    assert "step 200/200" in capsys.readouterr().err


def test_non_finite_loss_names_step_and_rate(tmp_path):
    pairs = _Pairs(depth_scale=1e30)
    training = _new_training()
    with pytest.raises(FloatingPointError, match="at step 1.*now 0.05"):
        training_lib.train(
            training, batches.DepthBatches(pairs, _CONFIG, 0), tmp_path
        )
    assert not list(tmp_path.iterdir())


def test_a_step_without_gradient_shrinks_the_mix():
    # A kind of fault: one copy of the lasso's step left out 1 - momentum, and
    # the same penalty was ten times weaker than elsewhere.
    lasso = model_config.LassoConfig(l1=0.5)
    training = _new_training(num_units=2, lasso=lasso)
    mix = training.model.get_layer("mix")
    mix.raw_weights.assign([0.6, 0.8])
    pictures, depths = batches.DepthBatches(_Pairs(), _CONFIG, 0).batch(0)
    unknown = np.zeros_like(depths)  # nothing to learn from
    assert training_lib.train_step(training, pictures, unknown) == 0.0
    # The rate rises from 0, where nothing moves.
    np.testing.assert_allclose(mix.mixing_weights(), [0.6, 0.8], rtol=1e-6)
    training_lib.train_step(training, pictures, unknown)
    shrunk = np.array([0.6, 0.8]) - 0.5 * (0.05 / 2) / (1 - 0.9)
    np.testing.assert_allclose(
        mix.mixing_weights(), shrunk / np.linalg.norm(shrunk), rtol=1e-5
    )
