"""Trains a depth model; the same call again goes on where it was stopped."""

from __future__ import annotations

import dataclasses
import functools
import pathlib

import keras
import numpy as np
import tensorflow as tf

from evaluation import fine_tuning
from evaluation.depth import batches as batches_lib
from evaluation.depth import config as depth_config
from evaluation.depth import reverse_huber
from mtssl_tf.models import input_contract
from mtssl_tf.models import lasso_mix
from mtssl_tf.training import compiled
from mtssl_tf.training import proximal


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

    @property
    def num_steps(self) -> int:
        """Number of steps to do in all."""
        return self.config.steps

    @property
    def batch_size(self) -> int:
        """Pictures a step."""
        return self.config.batch_size

    @property
    def remedy(self) -> str:
        """What to do about a loss that is not finite."""
        return f"Lower --learning_rate, now {self.config.learning_rate}."

    @property
    def mix(self) -> lasso_mix.LassoMix | None:
        """What the head reads, None where that is the last unit."""
        for layer in self.model.layers:
            if isinstance(layer, lasso_mix.LassoMix):
                return layer
        return None

    def run_step(
        self, batch: tuple[np.ndarray, np.ndarray]
    ) -> dict[str, float]:
        """Takes one compiled step on a batch of `DepthBatches`."""
        pictures, depths = batch
        return {"loss_m": float(self._compiled_step(pictures, depths))}

    @functools.cached_property
    def _compiled_step(self) -> tf.types.experimental.Callable:
        return compiled.compile_own(functools.partial(train_step, self))


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
    optimizer.apply_gradients(zip(gradients, variables))
    proximal.take_proximal_step(training.mix, optimizer)
    return loss


def train(
    training: DepthTraining,
    batches: batches_lib.DepthBatches,
    folder: pathlib.Path,
) -> None:
    """Trains to the last step, or until a signal asks to stop, and saves.

    Args:
        training: restored from `folder` if something was saved there.
        batches: of which step n takes batch n.
        folder: of checkpoints, which are also saved now and then.

    Raises:
        FloatingPointError: the loss is not finite.
        command.Interrupted: a signal came; what was done is saved.
    """
    checkpoint = tf.train.Checkpoint(
        model=training.model, optimizer=training.optimizer
    )
    checkpoints = fine_tuning.restore(checkpoint, folder)
    coming = batches.batches(training.step, training.num_steps)
    fine_tuning.fine_tune(training, coming, checkpoints)
