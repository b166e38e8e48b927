"""Keras 3 models as the tf_keras layers that official.vision is built from.

tf_keras does not see the variables of a Keras 3 model: a plain wrapper reports
none, and training silently leaves the trunk as it was. Both layers here
therefore list those variables themselves.
"""

from __future__ import annotations

import keras
import tensorflow as tf
import tf_keras

from evaluation.detection import protocol

# official.vision names feature maps by the logarithm of their stride.
LEVEL = protocol.STRIDE_PX.bit_length() - 1


class _KerasThreeLayer(tf_keras.layers.Layer):
    """A tf_keras layer around Keras 3 models or layers."""

    def __init__(self, parts: list[keras.Layer], **kwargs):
        super().__init__(dtype="float32", **kwargs)
        # Functions hide the parts from tf_keras, which looks at attributes
        # and might come to know half of a Keras 3 model.
        self._parts = lambda: tuple(parts)

    @property
    def trainable_weights(self) -> list[tf.Variable]:
        own = list(super().trainable_weights)
        theirs = [
            variable.value
            for part in self._parts()
            for variable in part.trainable_variables
        ]
        return own + theirs

    @property
    def non_trainable_weights(self) -> list[tf.Variable]:
        own = list(super().non_trainable_weights)
        theirs = [
            variable.value
            for part in self._parts()
            for variable in part.non_trainable_variables
        ]
        return own + theirs


class TrunkLayer(_KerasThreeLayer):
    """The trunk and what the heads read of it.

    Args:
        trunk: as `build_trunk` makes it, at output stride 16.
        mix: a built `LassoMix` over all units, or None for the last unit.
        contract: maps RGB in 0..255 to the trunk's input.
    """

    def __init__(self, trunk: keras.Model, mix, contract, **kwargs):
        super().__init__([trunk] if mix is None else [trunk, mix], **kwargs)
        self._call_trunk = lambda x, training: trunk(x, training=training)
        self._mix = lambda units: units[max(units)]
        if mix is not None:
            self._mix = lambda units: mix(units)
        self._contract = contract

    def call(self, images, training=None):
        """float32 [B, H, W, 3] in 0..255 -> {'4': [B, H/16, W/16, C]}."""
        units = self._call_trunk(self._contract.apply(images), bool(training))
        features = self._mix(units)
        # Proposals are made over a grid whose size is known beforehand.
        height, width = (
            side // protocol.STRIDE_PX for side in images.shape[1:3]
        )
        return {
            str(LEVEL): tf.ensure_shape(
                features, [None, height, width, features.shape[-1]]
            )
        }


class BoxHead(_KerasThreeLayer):
    """Block 4, a global average and two linear layers.

    Args:
        block4: Keras 3 model, [N, r, r, C] -> [N, r/2, r/2, 2 C].
        num_classes: with the background.
    """

    def __init__(self, block4: keras.Model, num_classes: int, **kwargs):
        super().__init__([block4], **kwargs)
        self._call_block4 = lambda x, training: block4(x, training=training)
        self._class_scores = tf_keras.layers.Dense(
            num_classes,
            kernel_initializer=tf_keras.initializers.RandomNormal(
                stddev=0.01  # Faster R-CNN
            ),
            dtype="float32",
            name="class_scores",
        )
        self._box_offsets = tf_keras.layers.Dense(
            num_classes * 4,
            kernel_initializer=tf_keras.initializers.RandomNormal(
                stddev=0.001  # Faster R-CNN
            ),
            dtype="float32",
            name="box_offsets",
        )

    def call(self, inputs, training=None):
        """float32 [B, R, r, r, C] -> logits [B, R, K], offsets [B, R, 4 K]."""
        shape = inputs.shape
        num_rois = tf.shape(inputs)[1]
        flat = tf.reshape(inputs, [-1, *shape[2:]])  # [B * R, r, r, C]
        features = self._call_block4(flat, bool(training))
        pooled = tf.reduce_mean(features, axis=[1, 2])  # [B * R, 2 C]
        pooled = tf.reshape(pooled, [-1, num_rois, pooled.shape[-1]])
        pooled = tf.ensure_shape(pooled, [shape[0], shape[1], None])
        return self._class_scores(pooled), self._box_offsets(pooled)
