"""Trains a depth model; the same call again goes on where it was stopped."""

from __future__ import annotations

import dataclasses
import math
import pathlib
import time

import keras
import tensorflow as tf

from evaluation.depth import batches as batches_lib
from evaluation.depth import config as depth_config
from evaluation.depth import reverse_huber
from mtssl_tf.models import input_contract
from mtssl_tf.models import lasso_mix
from mtssl_tf.process import stop_signal
from mtssl_tf.reports import progress as progress_lib

_SAVE_EVERY_S = 300


@dataclasses.dataclass(frozen=True)
class DepthTraining:
    """What training changes and a checkpoint holds.

    Attributes:
        model: from `build_depth_model`.
        contract: applied to pictures.
        optimizer: built for the model.
        config: settings.
    """

    model: keras.Model
    contract: input_contract.InputContract
    optimizer: keras.optimizers.Optimizer
    config: depth_config.DepthConfig

    @property
    def step(self) -> int:
        """Number of steps done."""
        return int(self.optimizer.iterations)


def build_training(
    model: keras.Model,
    contract: input_contract.InputContract,
    config: depth_config.DepthConfig,
) -> DepthTraining:
    """Builds the optimizer: SGD with momentum, all weights trained."""
    model.trainable = True
    learning_rate = keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0,
        warmup_target=config.learning_rate,
        warmup_steps=config.warmup_steps,
        decay_steps=max(1, config.steps - config.warmup_steps),
    )
    optimizer = keras.optimizers.SGD(
        learning_rate,
        momentum=config.momentum,
        global_clipnorm=config.max_gradient_norm,
    )
    optimizer.build(model.trainable_variables)
    return DepthTraining(model, contract, optimizer, config)


def train_step(
    training: DepthTraining, pictures: tf.Tensor, depths: tf.Tensor
) -> tf.Tensor:
    """Takes one step and returns the loss before it, float32 [], metres.

    Args:
        training: changed by the step.
        pictures: uint8 [B, H, W, 3].
        depths: float32 [B, H/2, W/2], metres, 0 where missing.
    """
    model, optimizer = training.model, training.optimizer
    with tf.GradientTape() as tape:
        predictions = model(training.contract.apply(pictures), training=True)
        loss = tf.reduce_mean(reverse_huber.reverse_huber(predictions, depths))
        objective = tf.add_n([loss, *model.losses])
    variables = model.trainable_variables
    gradients = tape.gradient(objective, [v.value for v in variables])
    learning_rate = optimizer.learning_rate
    optimizer.apply_gradients(zip(gradients, variables))
    for layer in model.layers:
        if isinstance(layer, lasso_mix.LassoMix) and layer.lasso.proximal:
            layer.proximal_step(learning_rate)
    return loss


def train(
    training: DepthTraining,
    batches: batches_lib.DepthBatches,
    folder: pathlib.Path,
    stop: stop_signal.StopSignal,
) -> None:
    """Trains to the last step, or until a signal asks to stop, and saves.

    Args:
        training: restored from `folder` if something was saved there.
        batches: of which step n takes batch n.
        folder: of checkpoints, which are also saved now and then.
        stop: looked at after every step.

    Raises:
        FloatingPointError: the loss is not finite.
    """
    manager = _restored_manager(training, folder)
    run_step = tf.function(
        lambda pictures, depths: train_step(training, pictures, depths)
    )
    config = training.config
    start, started_at = training.step, time.monotonic()
    progress = progress_lib.ProgressLine(config.steps, "steps", start)
    saved_at, text = started_at, ""
    coming = batches.batches(start, config.steps)
    for step, (pictures, depths) in enumerate(coming, start + 1):
        loss = float(run_step(pictures, depths))
        if not math.isfinite(loss):
            raise FloatingPointError(
                f"Depth prediction's loss is {loss} at step {step}. Lower "
                f"--learning_rate, now {config.learning_rate}."
            )
        now = time.monotonic()
        rate = (step - start) * config.batch_size / (now - started_at)
        text = f"{rate:.1f} pictures/s  loss {loss:.3f} m"
        progress.update(step, text)
        if stop.is_requested:
            text += f"  stopped by {stop.name}; the same command goes on"
            break
        if now - saved_at > _SAVE_EVERY_S:
            manager.save(checkpoint_number=step)
            saved_at = now
    if text:  # there was a step to do
        manager.save(checkpoint_number=training.step)
        progress.finish(f"step {training.step}/{config.steps}  {text}")


def _restored_manager(
    training: DepthTraining, folder: pathlib.Path
) -> tf.train.CheckpointManager:
    checkpoint = tf.train.Checkpoint(
        model=training.model, optimizer=training.optimizer
    )
    manager = tf.train.CheckpointManager(checkpoint, str(folder), max_to_keep=1)
    if manager.latest_checkpoint:
        status = checkpoint.restore(manager.latest_checkpoint)
        status.assert_existing_objects_matched()
    return manager
