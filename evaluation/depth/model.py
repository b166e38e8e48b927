"""Laina's depth head on a trunk: picture in, depth at half its size out.

Laina et al. 2016, figure 1, as the paper's section 5 changes it: the trunk
ends at stride 16, hence three up-projections. As published, no activation
follows the 1x1 convolution's batch normalisation, nor (ours) the last layer.
"""

from __future__ import annotations

from collections.abc import Sequence

import keras
from keras import ops

from evaluation.depth import config as depth_config
from evaluation.depth import up_projection
from mtssl_tf.models import batch_norm
from mtssl_tf.models import config as model_config
from mtssl_tf.models import lasso_mix


@keras.saving.register_keras_serializable("mtssl_tf")
class TrimToPicture(keras.layers.Layer):
    """Cuts off the prediction's rows and columns beyond the picture.

    A trunk rounds the size of its features up: 228 rows give 15 rows of
    features and 120 of depth, of which 114 lie on the picture.
    """

    def call(self, prediction, picture):
        """Maps [B, h, w, 1] and [B, H, W, 3] to [B, H/2, W/2]."""
        _, height, width, _ = ops.shape(picture)
        rows = (height + 1) // depth_config.PREDICTION_STRIDE
        columns = (width + 1) // depth_config.PREDICTION_STRIDE
        return prediction[:, :rows, :columns, 0]

    def compute_output_shape(self, prediction_shape, picture_shape):
        sides = (
            None
            if side is None
            else (side + 1) // depth_config.PREDICTION_STRIDE
            for side in picture_shape[1:3]
        )
        return (prediction_shape[0], *sides)


def build_depth_model(
    trunk: keras.Model,
    up_filters: Sequence[int],
    bn_decay: float,
    mean_depth_m: float,
    lasso: model_config.LassoConfig | None = None,
) -> keras.Model:
    """Builds trunk, optional mix, 1x1 convolution, up-projections and output.

    Args:
        trunk: from `build_trunk`, output stride 16.
        up_filters: of the up-projections, in order.
        bn_decay: of the head's batch normalisation.
        mean_depth_m: what an untrained model predicts, about.
        lasso: of a `LassoMix` of all units; None reads the last unit.

    Returns:
        A model from float32 [B, H, W, 3] (an `InputContract` applied) to
        float32 [B, ceil(H/2), ceil(W/2)], metres, not bounded below.
    """
    units = trunk.output
    if lasso is None:
        features = units[max(units)]  # [B, h, w, C]
    else:
        mix = lasso_mix.build(lasso, dtype="float32", name="mix")
        features = mix(units)
    x = keras.layers.Conv2D(
        2 * up_filters[0],
        1,
        use_bias=False,
        data_format="channels_last",
        dtype="float32",
        name="reduce",
    )(features)
    x = batch_norm.BatchNormalization(
        momentum=bn_decay, epsilon=1e-5, dtype="float32", name="reduce_bn"
    )(x)
    for index, filters in enumerate(up_filters, start=1):
        x = up_projection.build_up_projection(
            x, filters, bn_decay, f"up{index}"
        )
    x = keras.layers.Conv2D(
        1,
        3,
        padding="same",
        # Starts at the mean depth: the first steps would only go there.
        kernel_initializer=keras.initializers.RandomNormal(stddev=1e-3),
        bias_initializer=keras.initializers.Constant(mean_depth_m),
        data_format="channels_last",
        dtype="float32",
        name="depth",
    )(x)
    depth = TrimToPicture(dtype="float32", name="trim")(x, trunk.input)
    return keras.Model(trunk.input, depth, name="depth_model")
