"""The fast up-projection of Laina et al. 2016, section 3.1 and figure 2.

By definition an up-convolution doubles a feature map by putting zeros
between its values, then convolves it 5x5. Three in four products are with a
zero. The fast form convolves the small map with the four interleaved parts of
the same kernel, 3x3, 3x2, 2x3 and 2x2, and interleaves their outputs.

Deviations: the two branches' 5x5 kernels read the same map and so are one
layer with twice the filters; no bias stands before batch normalisation.
"""

from __future__ import annotations

import keras
from keras import ops
import numpy as np

from mtssl_tf.models import batch_norm

# Taps of a 5-tap kernel that an even and an odd output meet.
_TAPS = (3, 2)
# Row and column of the outputs that each part makes, in the order of parts.
_OFFSETS = ((0, 0), (0, 1), (1, 0), (1, 1))


@keras.saving.register_keras_serializable("mtssl_tf")
class UpConvolution(keras.layers.Layer):
    """Doubles a feature map and convolves it 5x5, without the zeros.

    The output equals a SAME convolution by `kernel_5x5()` of the map whose
    value (y, x) moved to (2y, 2x) and whose other values are zero.

    Args:
        filters: number of output channels.

    Example:
        UpConvolution(64)(features)  # [B, h, w, C] -> [B, 2h, 2w, 64]
    """

    def __init__(self, filters: int, **kwargs):
        super().__init__(**kwargs)
        self.filters = filters

    def build(self, input_shape) -> None:
        # Four weights: cutting them from one 5x5 kernel at every step costs
        # as much again as the convolutions.
        self.parts = [
            self.add_weight(
                name=f"kernel_{height}x{width}",
                shape=(height, width, input_shape[-1], self.filters),
                initializer="he_normal",
            )
            for height in _TAPS
            for width in _TAPS
        ]

    def call(self, features):
        """Maps float32 [B, h, w, C] to [B, 2h, 2w, filters]."""
        padded = ops.pad(features, ((0, 0), (1, 1), (1, 1), (0, 0)))
        # An even output meets the 5x5 kernel's taps 0, 2 and 4, of which the
        # first reaches one value back; an odd one meets taps 1 and 3.
        outputs = [
            ops.conv(padded[:, y:, x:], part, data_format="channels_last")
            for (y, x), part in zip(_OFFSETS, self.parts)
        ]
        even_row = ops.stack(outputs[:2], axis=3)  # [B, h, w, 2, filters]
        odd_row = ops.stack(outputs[2:], axis=3)
        rows = ops.stack([even_row, odd_row], axis=2)
        batch, height, width, _ = ops.shape(features)
        return ops.reshape(  # from [B, h, 2, w, 2, filters]
            rows, (batch, 2 * height, 2 * width, self.filters)
        )

    def kernel_5x5(self):
        """Returns the definition's kernel, float32 [5, 5, C, filters]."""
        channels = self.parts[0].shape[2]
        kernel = np.zeros((5, 5, channels, self.filters), np.float32)
        for (y, x), part in zip(_OFFSETS, self.parts):
            kernel[y::2, x::2] = ops.convert_to_numpy(part)
        return kernel

    def compute_output_shape(self, input_shape):
        batch, height, width, _ = input_shape
        return (
            batch,
            None if height is None else 2 * height,
            None if width is None else 2 * width,
            self.filters,
        )

    def get_config(self):
        return {**super().get_config(), "filters": self.filters}


def build_up_projection(features, filters: int, bn_decay: float, name: str):
    """Adds an up-projection block to a functional model.

    Args:
        features: Keras tensor [B, h, w, C].
        filters: number of output channels.
        bn_decay: of batch normalisation's moving statistics.
        name: prefix of the block's layers.

    Returns:
        Keras tensor [B, 2h, 2w, filters], not negative.
    """

    def normalize(x, part: str):
        return batch_norm.BatchNormalization(
            momentum=bn_decay,
            epsilon=1e-5,
            dtype="float32",
            name=f"{name}_{part}_bn",
        )(x)

    both = UpConvolution(2 * filters, dtype="float32", name=f"{name}_up")(
        features
    )
    both = normalize(both, "up")  # [B, 2h, 2w, 2 * filters]
    main, projection = ops.split(both, 2, axis=-1)
    main = keras.layers.Conv2D(
        filters,
        3,
        padding="same",
        use_bias=False,
        kernel_initializer="he_normal",
        data_format="channels_last",
        dtype="float32",
        name=f"{name}_conv",
    )(ops.relu(main))
    return ops.relu(normalize(main, "conv") + projection)
