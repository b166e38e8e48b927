"""The trunk: TF-Slim's pre-activation ResNet, through block 3, on Keras 3.

Every choice below follows `tf_slim.nets.resnet_v2`, because the paper's and
the ImageNet weights exist only as its checkpoints: stride 2 sits in the last
unit of a block, strided convolutions pad explicitly and the max-pool pads
"SAME", `conv1` has a bias but no batch norm or ReLU, a projection shortcut
reads the pre-activation and an identity shortcut the raw input, and a unit
output is a raw residual sum. `keras.applications.ResNet101V2` differs in each.

`output_stride` trades resolution for compute with the same weights: once it
is reached, later strides become dilation rates (paper, sec. 3).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras

from mtssl_tf.models import config as model_config
from mtssl_tf.models import layers as layers_lib

if TYPE_CHECKING:
    from keras import KerasTensor as Tensor


def build_trunk(
    config: model_config.TrunkConfig,
    share: keras.Model | None = None,
    dtype: str = "float32",
) -> keras.Model:
    """Builds conv1 to block 3 as a model that returns all block-3 units.

    Args:
        config: shape of the trunk.
        share: a trunk of the same shape whose variables the new one uses, at
            its own output stride. Such a trunk can't be saved: save `share`.
        dtype: name of a Keras dtype policy, for new layers; shared ones keep
            theirs. "mixed_bfloat16" has bfloat16 outputs.

    Returns:
        A model from float32 [B, H, W, 3] (an `InputContract` applied) to
        {'unit_01': [B, H/s, W/s, C], ...} in depth order, any H and W. At
        output stride 32 the last unit has half the size of the others.

    Raises:
        ValueError: `share` has other layers than `config` asks for.
    """
    layers = _make_layers(config, share, dtype)
    image = keras.Input((None, None, 3), name="image", dtype="float32")
    x = layers.conv(image, "conv1", config.root_channels, 7, stride=2)
    x = layers.max_pool(x, "pool1", 3, stride=2)  # [B, H/4, W/4, 64]
    stride = model_config.ROOT_STRIDE
    rate = 1
    for block, num_units in enumerate(config.units_per_block, start=1):
        outputs = {}
        for unit in range(1, num_units + 1):
            strides_here = unit == num_units
            is_dense = stride == config.output_stride
            x = _build_unit(
                x,
                f"block{block}_unit_{unit}",
                config.unit_channels(block),
                stride=2 if strides_here and not is_dense else 1,
                rate=rate,
                layers=layers,
            )
            if strides_here and is_dense:
                rate *= 2
            elif strides_here:
                stride *= 2
            outputs[f"unit_{unit:02d}"] = x
    layers.check_complete()
    return keras.Model(image, outputs, name=_name("trunk", config, share))


def build_block4(
    config: model_config.TrunkConfig,
    first_stride: int = 1,
    share: keras.Model | None = None,
    dtype: str = "float32",
) -> keras.Model:
    """Builds block 4, which reads the last unit of block 3.

    Args:
        config: shape of the trunk underneath; its `output_stride` sets the
            dilation rate, so that one set of weights serves at every stride.
        first_stride: 1 is TF-Slim's block 4. 2 strides in the first unit and
            dilates nowhere: the box head on features of stride 16.
        share: a block 4 whose variables the new one uses.
        dtype: as in `build_trunk`.

    Returns:
        A model from float [B, h, w, C] to [B, h', w', 2 * C], ending in batch
        norm and ReLU (`postnorm`).

    Raises:
        ValueError: `first_stride` does not fit the trunk's output stride, or
            `share` has other layers than `config` asks for.
    """
    if first_stride not in (1, 2):
        raise ValueError(f"first_stride must be 1 or 2, got {first_stride}.")
    if first_stride == 2 and config.output_stride != 16:
        raise ValueError(
            "first_stride=2 replaces the stride that a trunk of output_stride "
            f"16 left out of block 3, got output_stride={config.output_stride}."
        )
    layers = _make_layers(config, share, dtype)
    channels = config.unit_channels(4)
    inputs = keras.Input(
        (None, None, channels // 2), name="features", dtype="float32"
    )
    x = inputs
    for unit in range(1, model_config.NUM_BLOCK4_UNITS + 1):
        x = _build_unit(
            x,
            f"block4_unit_{unit}",
            channels,
            stride=first_stride if unit == 1 else 1,
            rate=1 if first_stride == 2 else 32 // config.output_stride,
            layers=layers,
        )
    x = layers.norm_relu(x, "postnorm")
    layers.check_complete()
    return keras.Model(inputs, x, name=_name("block4", config, share))


def _name(
    kind: str, config: model_config.TrunkConfig, share: keras.Model | None
) -> str:
    if share is None:
        return kind
    return f"{share.name}_stride_{config.output_stride}"


def _build_unit(
    x: Tensor,
    name: str,
    channels: int,
    stride: int,
    rate: int,
    layers: layers_lib.TrunkLayers,
) -> Tensor:
    """One bottleneck unit: float [B, h, w, C] to [B, h', w', channels]."""
    inner = channels // model_config.EXPANSION
    preact = layers.norm_relu(x, f"{name}_preact")
    shortcut = x
    if x.shape[-1] != channels:
        shortcut = layers.conv(
            preact, f"{name}_shortcut", channels, 1, stride=stride
        )
    elif stride > 1:
        shortcut = layers.max_pool(x, f"{name}_shortcut", 1, stride=stride)
    x = layers.conv_norm_relu(preact, f"{name}_conv1", inner, 1)
    x = layers.conv_norm_relu(
        x, f"{name}_conv2", inner, 3, stride=stride, rate=rate
    )
    x = layers.conv(x, f"{name}_conv3", channels, 1)
    return layers.add(shortcut, x, name)


def _make_layers(
    config: model_config.TrunkConfig, share: keras.Model | None, dtype: str
) -> layers_lib.TrunkLayers:
    if share is None:
        return layers_lib.NewLayers(config.bn_decay, config.bn_epsilon, dtype)
    return layers_lib.SharedLayers(share)
