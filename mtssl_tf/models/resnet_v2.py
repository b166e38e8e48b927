"""TF-Slim's pre-activation ResNet, through block 3: the paper's trunk.

Every choice below follows `tf_slim.nets.resnet_v2`, because the paper's and
the ImageNet weights exist only as its checkpoints: stride 2 sits in the last
unit of a block, strided convolutions pad explicitly and the max-pool pads
"SAME", `conv1` has a bias but no batch norm or ReLU, a projection shortcut
reads the pre-activation and an identity shortcut the raw input, and a unit
output is a raw residual sum. `keras.applications.ResNet101V2` differs in each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mtssl_tf.lazy_imports import keras
from mtssl_tf.models import family as family_lib

if TYPE_CHECKING:
    from keras import KerasTensor as Tensor

    from mtssl_tf.models import layers as layers_lib

UNITS_BY_DEPTH = {  # release: tf_slim.nets.resnet_v2, blocks 1 to 3
    50: (3, 4, 6),
    101: (3, 4, 23),
    152: (3, 8, 36),
}
OUTPUT_STRIDES = (8, 16, 32)
ROOT_CHANNELS = 64  # release
_NUM_BLOCK4_UNITS = 3  # release: the same at every depth
_ROOT_STRIDE = 4  # conv1 and pool1
_EXPANSION = 4  # release: unit channels over bottleneck channels


def _channels(shape: family_lib.Shape, block: int) -> int:
    """Returns the channels of the unit outputs of `block`, counted from 1."""
    return int(ROOT_CHANNELS * shape.width) * 2 ** (block - 1) * _EXPANSION


def _build_units(
    shape: family_lib.Shape, layers: layers_lib.TrunkLayers
) -> tuple[Tensor, dict[str, Tensor]]:
    """Builds conv1 to block 3, whose units are returned.

    At output stride 32 the last unit has half the size of the others.
    """
    image = keras.Input((None, None, 3), name="image", dtype="float32")
    root_channels = int(ROOT_CHANNELS * shape.width)
    x = layers.conv(image, "conv1", root_channels, 7, stride=2)
    x = layers.max_pool(x, "pool1", 3, stride=2)  # [B, H/4, W/4, 64]
    stride = _ROOT_STRIDE
    rate = 1
    outputs: dict[str, Tensor] = {}
    for block, num_units in enumerate(shape.units_per_block, start=1):
        outputs = {}
        for unit in range(1, num_units + 1):
            strides_here = unit == num_units
            is_dense = stride == shape.output_stride
            x = _build_unit(
                x,
                f"block{block}_unit_{unit}",
                _channels(shape, block),
                stride=2 if strides_here and not is_dense else 1,
                rate=rate,
                layers=layers,
            )
            if strides_here and is_dense:
                rate *= 2
            elif strides_here:
                stride *= 2
            outputs[f"unit_{unit:02d}"] = x
    return image, outputs


def _build_block4(
    shape: family_lib.Shape,
    features: Tensor,
    first_stride: int,
    layers: layers_lib.TrunkLayers,
) -> Tensor:
    """Builds block 4 and `postnorm`, [B, h, w, C] to [B, h', w', 2 * C].

    The dilation rate follows the output stride. `first_stride` 1 is TF-Slim's
    block 4; 2 strides in the first unit and dilates nowhere.
    """
    channels = 2 * features.shape[-1]
    x = features
    for unit in range(1, _NUM_BLOCK4_UNITS + 1):
        x = _build_unit(
            x,
            f"block4_unit_{unit}",
            channels,
            stride=first_stride if unit == 1 else 1,
            rate=1 if first_stride == 2 else 32 // shape.output_stride,
            layers=layers,
        )
    return layers.norm_relu(x, "postnorm")


def _build_unit(
    x: Tensor,
    name: str,
    channels: int,
    stride: int,
    rate: int,
    layers: layers_lib.TrunkLayers,
) -> Tensor:
    """One bottleneck unit: float [B, h, w, C] to [B, h', w', channels]."""
    inner = channels // _EXPANSION
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


FAMILY = family_lib.Family(
    title="ResNet-v2 {depth}",
    units_are=(
        "the residual units of block 3, shallowest first. The last one is\n"
        "the representation. It is a raw sum: put batch norm and ReLU behind it"
    ),
    output_strides=OUTPUT_STRIDES,
    build_units=_build_units,
    build_block4=_build_block4,
    num_units=UNITS_BY_DEPTH,
    default_depth=101,  # paper, sec. 3
    width_parts=ROOT_CHANNELS,
    unit_channels=lambda shape: _channels(shape, 3),
    is_chain=True,
)
