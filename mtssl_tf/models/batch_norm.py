"""Batch norm in one operation of TensorFlow, where Keras takes a dozen."""

from __future__ import annotations

from typing import Any

import keras

from mtssl_tf.lazy_imports import tf


class BatchNormalization(keras.layers.BatchNormalization):
    """Keras's batch norm over [B, h, w, C], with fewer passes over memory.

    Mean, variance and the normalised values come from one operation, and their
    gradients from another. bfloat16 stays bfloat16, with statistics in
    float32. The numbers are Keras's but for rounding: TensorFlow's operation
    gives the variance of a sample, N / (N - 1) times what Keras averages,
    which is taken back here.

    Other back ends, features without height and width, and statistics over
    several replicas are left to Keras.
    """

    # Saved as Keras's own, whose variables and settings it has: a saved model
    # needs none of our code.
    __module__ = "keras.layers"

    def call(
        self, inputs: Any, training: bool | None = None, mask: Any = None
    ) -> Any:
        """Normalises float [B, h, w, C]; see Keras's layer."""
        is_one_operation = (
            keras.backend.backend() == "tensorflow"
            and len(inputs.shape) == 4
            and self.axis in (-1, 3)
            and self.center
            and self.scale
            and mask is None
            and not self.synchronized
        )
        if not is_one_operation:
            return super().call(inputs, training=training, mask=mask)
        if not (training and self.trainable):
            outputs, *_ = self._normalise(
                inputs, False, self.moving_mean, self.moving_variance
            )
            return outputs
        outputs, mean, variance = self._normalise(inputs, True, [], [])
        # Of one value there is no sample variance: TensorFlow gives its own.
        count = tf.cast(tf.reduce_prod(tf.shape(inputs)[:3]), tf.float32)
        variance *= tf.maximum(count - 1.0, 1.0) / count
        kept = self.momentum
        for moving, new in (
            (self.moving_mean, mean),
            (self.moving_variance, variance),
        ):
            moving.assign(moving * kept + new * (1.0 - kept))
        return outputs

    def _normalise(
        self, inputs: Any, is_training: bool, mean: Any, variance: Any
    ) -> tuple[Any, Any, Any]:
        """Returns the outputs, and the batch's mean and sample variance."""
        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=tf.convert_to_tensor(self.gamma),
            offset=tf.convert_to_tensor(self.beta),
            mean=tf.convert_to_tensor(mean, tf.float32),
            variance=tf.convert_to_tensor(variance, tf.float32),
            epsilon=self.epsilon,
            is_training=is_training,
        )
        return outputs, mean, variance
