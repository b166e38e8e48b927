"""The paper's protocol: a linear layer trained on augmented views.

The head is mix (with a lasso), 3 x 3 max-pool, flatten, standardisation and
one linear layer. The standardisation is a batch norm without weights of its
own: in inference mode a fixed affine map, which leaves the classifier linear
and saves tuning the learning rate for every trunk.
"""

from __future__ import annotations

import pathlib
import time

import keras
import numpy as np
import tensorflow as tf

from evaluation import fine_tuning
from evaluation import run_folder
from evaluation.classification import data as data_lib
from evaluation.classification import fast_linear
from evaluation.classification import frozen_trunk
from evaluation.classification import metrics
from evaluation.classification import protocol as protocol_lib
from evaluation.classification import throughput
from mtssl_tf.data import inception_augmentation
from mtssl_tf.data import resize
from mtssl_tf.data import source as source_lib
from mtssl_tf.frozen import features
from mtssl_tf.models import lasso_mix
from mtssl_tf.process import plain_graphs
from mtssl_tf.training import proximal

_NORM_DECAY = 0.9  # ours: the features are frozen, so little is averaged


class LinearTrainer:
    """Trains and scores one linear layer; resumes after each epoch."""

    def __init__(
        self,
        trunk: frozen_trunk.FrozenTrunk,
        protocol: protocol_lib.LinearProtocol,
        data: data_lib.LabelledData,
        seed: int,
    ) -> None:
        if trunk.read_units is None:
            raise ValueError(
                "--trunk=pixels has the fast protocol only: leave --full out."
            )
        keras.utils.set_random_seed(seed)
        self.read_units = trunk.read_units
        self._protocol = protocol
        self._data = data
        self._seed = seed
        self._steps_per_epoch = -(-len(data.train) // protocol.batch_size)
        unit_shape = self._unit_shape()
        self.mix = None
        if protocol.lasso is not None:
            self.mix = lasso_mix.build(protocol.lasso, dtype="float32")
        self.head = _build_head(
            len(trunk.unit_names), unit_shape, self.mix, data.train.num_classes
        )
        self._optimizer = keras.optimizers.SGD(
            keras.optimizers.schedules.CosineDecay(
                protocol.learning_rate, protocol.epochs * self._steps_per_epoch
            ),
            momentum=protocol.momentum,
        )
        self._optimizer.build(self.head.trainable_variables)
        self._epoch = tf.Variable(0, dtype=tf.int64, name="epoch")
        self._take_step = tf.function(
            self._take_step_eagerly,
            jit_compile=False,
            reduce_retracing=True,
            autograph=False,
        )

    def train(self, folder: pathlib.Path) -> None:
        """Trains to the last epoch, from the last one saved in `folder`.

        Raises:
            FloatingPointError: the loss is not finite.
        """
        checkpoint = tf.train.Checkpoint(
            head=self.head, optimizer=self._optimizer, epoch=self._epoch
        )
        checkpoints = fine_tuning.restore(checkpoint, folder)
        if int(self._epoch):
            print(f"Goes on after epoch {int(self._epoch)}.", flush=True)
        for epoch in range(int(self._epoch), self._protocol.epochs):
            name = f"epoch {epoch + 1}"
            batches = source_lib.iterate_once(
                self._epoch_batches(epoch), self._data.train
            )
            losses = [self._take_step(*batch) for batch in batches]
            loss = float(tf.reduce_mean(losses))
            fine_tuning.check_finite(
                {"loss": loss}, name, "Lower learning_rate."
            )
            self._epoch.assign_add(1)
            checkpoints.save(int(self._epoch))
            print(f"Epoch {epoch + 1}: loss {loss:.3f}.", flush=True)

    def score(self) -> tuple[np.ndarray, np.ndarray, float]:
        """Scores the central view of every test picture.

        Returns:
            (logits float32 [n, K], classes int32 [n], pictures a second).
        """

        @tf.function(jit_compile=False, reduce_retracing=True, autograph=False)
        def predict(images):
            return self.head(self.read_units(images), training=False)

        start = time.perf_counter()
        logits, classes = [], []
        batches = data_lib.centre_views(
            self._data.test, self._protocol, self._data.skipped
        )
        for images, numbers in source_lib.iterate_once(
            batches, self._data.test
        ):
            logits.append(predict(images).numpy())
            classes.append(numbers.numpy())
        pictures_per_s = len(self._data.test) / (time.perf_counter() - start)
        return np.concatenate(logits), np.concatenate(classes), pictures_per_s

    def _unit_shape(self) -> tuple[int, ...]:
        side = self._protocol.image_px
        units = self.read_units(tf.zeros([1, side, side, 3], tf.uint8))
        return tuple(units[0].shape[1:])

    def _take_step_eagerly(self, images, classes, seeds):
        views = inception_augmentation.distort_colors(
            images[:, None], self._protocol.color_strength, seeds
        )
        units = self.read_units(views[:, 0])
        kernel = self.head.layers[-1].kernel
        with tf.GradientTape() as tape:
            logits = self.head(units, training=True)
            loss = tf.reduce_mean(
                tf.nn.sparse_softmax_cross_entropy_with_logits(classes, logits)
            )
            penalty = self._protocol.weight_decay * tf.nn.l2_loss(kernel)
            total = tf.add_n([loss, penalty, *self.head.losses])
        variables = self.head.trainable_variables
        # By value: a Keras variable is no source for a tape.
        self._optimizer.apply(
            tape.gradient(total, [variable.value for variable in variables])
        )
        proximal.take_proximal_step(self.mix, self._optimizer)
        return loss

    @plain_graphs.traces_as_written
    def _epoch_batches(self, epoch: int) -> tf.data.Dataset:
        """All training pictures once, in the epoch's order and views."""
        epoch_seed = np.random.SeedSequence([self._seed, epoch]).generate_state(
            2
        )
        order_seed, view_seed = (int(value) >> 1 for value in epoch_seed)
        protocol = self._protocol

        def view(position, example):
            image, number = example
            seed = tf.stack([view_seed, tf.cast(position, tf.int32)])
            cut = resize.random_cut(
                image,
                protocol.train_resize_px,
                protocol.image_px,
                tf.random.stateless_uniform([2], seed),
            )
            return cut, number, seed

        return (
            self._data.train.stream_once(order_seed, self._data.skipped)
            .enumerate()
            .map(view, tf.data.AUTOTUNE, deterministic=True)
            .batch(protocol.batch_size)
            .prefetch(tf.data.AUTOTUNE)
        )


def run_trained(
    trunk: frozen_trunk.FrozenTrunk,
    protocol: protocol_lib.LinearProtocol,
    data: data_lib.LabelledData,
    seed: int,
    folder: pathlib.Path,
) -> fast_linear.LinearOutcome:
    """Trains, scores and measures.

    Args:
        trunk: as the protocol asks for it.
        protocol: every setting.
        data: pictures to train on, and to score.
        seed: of the linear layer, the order and the views.
        folder: for checkpoints.

    Raises:
        ValueError: other pictures were trained on there.
    """
    trainer = LinearTrainer(trunk, protocol, data, seed)
    # The linear layer can be tested on others: those make no other run.
    digests = {"train": data.train.digest()}
    run_folder.check_same_run(folder, protocol, trunk.identity, digests, seed)
    trainer.train(folder)
    scores, classes, pictures_per_s = trainer.score()
    mix = None if trainer.mix is None else trainer.mix.mixing_weights()
    return fast_linear.LinearOutcome(
        metrics.classification_metrics(scores, classes, data.test.class_names),
        metrics.confusion(scores, classes, data.test.num_classes),
        mix,
        pictures_per_s,
        throughput.bare_forward_pictures_per_s(
            trainer.read_units, protocol.batch_size, protocol.image_px
        ),
    )


def _build_head(
    num_units: int,
    unit_shape: tuple[int, ...],
    mix: lasso_mix.LassoMix | None,
    num_classes: int,
) -> keras.Model:
    """Builds N x [B, h, w, C] -> logits [B, K]."""
    units = [
        keras.Input(unit_shape, name=f"unit_{number:02d}", dtype="float32")
        for number in range(1, num_units + 1)
    ]
    mixed = units[-1] if mix is None else mix(units)
    x = keras.layers.Flatten(data_format="channels_last", dtype="float32")(
        features.pool_to_grid(mixed)
    )
    x = keras.layers.BatchNormalization(
        momentum=_NORM_DECAY,
        center=False,
        scale=False,
        dtype="float32",
        name="standardise",
    )(x)
    logits = keras.layers.Dense(
        num_classes, kernel_initializer="zeros", dtype="float32", name="linear"
    )(x)
    return keras.Model(units, logits, name="linear_head")
