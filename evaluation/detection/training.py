"""Trains a detector; the same call again goes on where it was stopped."""

from __future__ import annotations

from collections.abc import Mapping
import contextlib
import pathlib

import numpy as np
import tensorflow as tf
import tf_keras

from evaluation import fine_tuning
from evaluation.detection import batches as batches_lib
from evaluation.detection import faster_rcnn
from evaluation.detection import protocol as protocol_lib
from mtssl_tf.reports import tensorboard
from mtssl_tf.training import compiled
from mtssl_tf.training import proximal

_LOG_EVERY_STEPS = 20
_DECAY_FACTOR = 0.1  # Faster R-CNN


class DetectorTraining:
    """A detector, its optimizer and the number of steps done.

    Args:
        detector: to train.
        protocol: schedule and optimizer.
        seed: of the anchors and proposals sampled.
    """

    def __init__(
        self,
        detector: faster_rcnn.FasterRcnn,
        protocol: protocol_lib.VocDetectionProtocol,
        seed: int,
    ):
        self.detector = detector
        self.protocol = protocol
        self._seed = seed
        self._step = tf.Variable(0, dtype=tf.int64, trainable=False)
        self._optimizer = tf_keras.optimizers.SGD(
            momentum=protocol.momentum, jit_compile=False
        )
        self._variables = detector.trainable_variables
        self._optimizer.build(self._variables)
        # Proposals need sizes known when traced: one trace a canvas.
        self._run_by_shape: dict[tuple, tf.types.experimental.Callable] = {}

    @property
    def step(self) -> int:
        """Steps done."""
        return int(self._step)

    @property
    def num_steps(self) -> int:
        """Steps to do in all."""
        return self.protocol.steps

    @property
    def batch_size(self) -> int:
        """Pictures a step."""
        return self.protocol.batch_size

    @property
    def remedy(self) -> str:
        """What to do about a loss that is not finite."""
        rate = self.protocol.learning_rate
        return f"Lower --set=learning_rate=, now {rate}."

    def checkpoint(self) -> tf.train.Checkpoint:
        """What has to be saved for going on to the bit."""
        return tf.train.Checkpoint(
            step=self._step,
            variables=self.detector.variables,
            optimizer=self._optimizer,
        )

    def run_step(self, batch: batches_lib.DetectionBatch) -> dict[str, float]:
        """Takes one step and returns the losses before it."""
        shape = batch.images.shape
        if shape not in self._run_by_shape:
            self._run_by_shape[shape] = compiled.compile_own(self._update)
        rate = learning_rate(self.protocol, self.step)
        self._optimizer.learning_rate.assign(rate)
        losses = self._run_by_shape[shape](
            tf.constant(batch.images),
            tf.constant(batch.sizes),
            tf.constant(batch.boxes),
            tf.constant(batch.classes),
            tf.constant([self._seed, self.step], tf.int32),
        )
        self._step.assign_add(1)
        return {name: float(value) for name, value in losses.items()}

    def _update(self, images, sizes, boxes, classes, seed):
        protocol = self.protocol
        with tf.GradientTape() as tape:
            losses = self.detector.losses(images, sizes, boxes, classes, seed)
            total = tf.add_n(list(losses.values()))
        gradients = [
            tf.convert_to_tensor(gradient)
            for gradient in tape.gradient(total, self._variables)
        ]
        gradients, norm = tf.clip_by_global_norm(
            gradients, protocol.gradient_clip_norm
        )
        decayed = [
            # Kernels alone: biases, batch norms and the mix are vectors.
            gradient + protocol.weight_decay * variable
            if len(variable.shape) > 1
            else gradient
            for gradient, variable in zip(gradients, self._variables)
        ]
        self._optimizer.apply_gradients(zip(decayed, self._variables))
        proximal.take_proximal_step(self.detector.mix, self._optimizer)
        return {**losses, "total": total, "gradient_norm": norm}


def learning_rate(
    protocol: protocol_lib.VocDetectionProtocol, step: int
) -> float:
    """The rate of a step: a linear rise, then a stair."""
    rise = min(1.0, (step + 1) / max(1, protocol.warmup_steps))
    stairs = sum(step >= decay for decay in protocol.decay_steps)
    return protocol.learning_rate * rise * _DECAY_FACTOR**stairs


def estimate_batch_norm(
    detector: faster_rcnn.FasterRcnn,
    layers: list,
    batches: list[batches_lib.DetectionBatch],
) -> None:
    """Sets the statistics of batch norms to those of training pictures.

    In a network of random weights whose batch norms start at mean 0 and
    variance 1 the signal grows from unit to unit, and frozen batch norms
    would leave it so.

    Args:
        detector: what the layers belong to.
        layers: Keras 3 or tf_keras batch norms.
        batches: to average over.
    """
    momenta = [layer.momentum for layer in layers]
    try:
        for number, batch in enumerate(batches):
            for layer in layers:
                # A running mean: 0, 1/2, 2/3, ... of what was, the rest of
                # now.
                layer.momentum = number / (number + 1)
            detector.losses(
                tf.constant(batch.images),
                tf.constant(batch.sizes),
                tf.constant(batch.boxes),
                tf.constant(batch.classes),
                tf.constant([0, number], tf.int32),
            )
    finally:
        for layer, momentum in zip(layers, momenta):
            layer.momentum = momentum


def train(
    training: DetectorTraining,
    batches: batches_lib.TrainingBatches,
    out_dir: pathlib.Path,
) -> None:
    """Trains to the last step, saving in `out_dir`/checkpoints.

    Args:
        training: restored if something was saved there.
        batches: of which step n takes batch n.
        out_dir: gets checkpoints and TensorBoard's files.

    Raises:
        FloatingPointError: a loss is not finite.
        command.Interrupted: a signal came; what was done is saved.
    """
    checkpoints = fine_tuning.restore(
        training.checkpoint(), out_dir / "checkpoints"
    )
    if training.step >= training.num_steps:
        return
    sums: dict[str, list[float]] = {}

    def report(step: int, losses: Mapping[str, float]) -> None:
        for name, value in losses.items():
            sums.setdefault(name, []).append(value)
        if step % _LOG_EVERY_STEPS == 0 or step == training.num_steps:
            means = {name: float(np.mean(x)) for name, x in sums.items()}
            board.write_scalars(step, "detection", means)
            sums.clear()

    coming = batches.from_step(training.step, training.num_steps)
    with contextlib.closing(tensorboard.TensorBoardLog(out_dir)) as board:
        fine_tuning.fine_tune(training, coming, checkpoints, report)
