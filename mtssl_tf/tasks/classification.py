"""What tasks share whose answer is one of a few: loss, accuracy and chance."""

from __future__ import annotations

import abc
import math

from mtssl_tf.lazy_imports import keras
from mtssl_tf.lazy_imports import tf
from mtssl_tf.tasks import base


class Classification(base.Task):
    """A task whose prediction is logits, and its target the right class.

    A head gives float32 [B, K], or [B, N, K] where an example asks N times;
    the target is int32 [B] or [B, N].
    """

    @property
    @abc.abstractmethod
    def num_classes(self) -> int:
        """K; a blind guess takes all of them as equally likely."""

    def loss(self, prediction: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
        """Softmax cross-entropy in nats, float32 [B]."""
        return _of_an_example(
            keras.losses.sparse_categorical_crossentropy(
                target, prediction, from_logits=True
            )
        )

    def metrics(
        self, prediction: tf.Tensor, target: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """`accuracy`: 1 where the most likely class is right, else 0."""
        guess = keras.ops.argmax(prediction, -1)
        is_right = keras.ops.equal(guess, keras.ops.cast(target, guess.dtype))
        return {"accuracy": _of_an_example(keras.ops.cast(is_right, "float32"))}

    def chance(self) -> dict[str, float]:
        """A guess among classes that are equally likely."""
        return {
            "loss": math.log(self.num_classes),
            "accuracy": 1 / self.num_classes,
        }


def _of_an_example(values: tf.Tensor) -> tf.Tensor:
    """Returns the mean over what an example asks, [B] of [B] or [B, N]."""
    return keras.ops.mean(values, axis=-1) if len(values.shape) > 1 else values
