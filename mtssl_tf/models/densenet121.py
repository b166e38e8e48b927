"""DenseNet-121 (Huang et al. 2017): every layer reads all before it.

The trunk ends with dense block 3, at stride 16; transition 3 and dense block 4
are block 4, as in the ResNets. A unit is what a layer of dense block 3 hands
on: all channels so far, and zeros where later layers put theirs, so that all
have one shape (ours). So a mix of units weights the channels of each layer by
the units that hold them, and the last unit is the whole block.

Both together are `keras.applications.DenseNet121` without its top, and have
its weights; its batch norm's epsilon is 1.001e-5. The pools of transitions
round sides up, Keras's down. Output stride 8 dilates block 3 in place of
transition 2's stride. There is no 32: transition 3 strides between two of its
layers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mtssl_tf.lazy_imports import keras
from mtssl_tf.models import family as family_lib

if TYPE_CHECKING:
    from keras import KerasTensor as Tensor

    from mtssl_tf.models import layers as layers_lib

_GROWTH = 32  # Huang et al., table 1
_ROOT_CHANNELS = 2 * _GROWTH  # likewise
_BOTTLENECK = 4  # likewise: channels of the 1x1 over those of the 3x3
_NUM_TRUNK_BLOCKS = 3
_STRIDES = (4, 8, 16)  # of dense blocks 1 to 3


def _growth(shape: family_lib.Shape) -> int:
    return int(_GROWTH * shape.width)


def _unit_channels(shape: family_lib.Shape) -> int:
    """Returns the channels where dense block 3 ends."""
    channels = int(_ROOT_CHANNELS * shape.width)
    for number, count in enumerate(shape.units_per_block[:_NUM_TRUNK_BLOCKS]):
        if number:
            channels //= 2
        channels += count * _growth(shape)
    return channels


def _build_units(
    shape: family_lib.Shape, layers: layers_lib.TrunkLayers
) -> tuple[Tensor, dict[str, Tensor]]:
    """Builds conv1 to dense block 3, whose units are returned."""
    image = keras.Input((None, None, 3), name="image", dtype="float32")
    root_channels = int(_ROOT_CHANNELS * shape.width)
    x = layers.conv(image, "conv1", root_channels, 7, stride=2, use_bias=False)
    x = layers.norm_relu(x, "conv1_norm")
    x = layers.padded_max_pool(x, "pool1", 3, stride=2)
    rate = 1
    states: list[Tensor] = []
    for block in range(1, _NUM_TRUNK_BLOCKS + 1):
        if block > 1:
            strides = _STRIDES[block - 1] <= shape.output_stride
            pool = 2 if strides else 1
            x = _build_transition(x, f"transition{block - 1}", pool, layers)
            rate *= 2 // pool
        states = _build_dense_block(shape, x, f"block{block}", rate, layers)
        x = states[-1]
    channels = x.shape[-1]
    units = {}
    for number, state in enumerate(states, start=1):
        name = f"unit_{number:02d}"
        if state.shape[-1] < channels:
            state = layers.fill_channels(state, channels, name)
        units[name] = state
    return image, units


def _build_dense_block(
    shape: family_lib.Shape,
    x: Tensor,
    name: str,
    rate: int,
    layers: layers_lib.TrunkLayers,
) -> list[Tensor]:
    """Returns the channels so far after each layer of a dense block."""
    block = int(name.removeprefix("block"))
    growth = _growth(shape)
    states = []
    for number in range(1, shape.units_per_block[block - 1] + 1):
        layer = f"{name}_unit_{number}"
        y = layers.norm_relu(x, f"{layer}_preact")
        y = layers.conv_norm_relu(y, f"{layer}_conv1", _BOTTLENECK * growth, 1)
        y = layers.conv(
            y, f"{layer}_conv2", growth, 3, rate=rate, use_bias=False
        )
        x = layers.concatenate(x, y, layer)
        states.append(x)
    return states


def _build_transition(
    x: Tensor, name: str, stride: int, layers: layers_lib.TrunkLayers
) -> Tensor:
    """Half the channels, and where `stride` is 2, half the size."""
    x = layers.norm_relu(x, f"{name}_preact")
    x = layers.conv(x, f"{name}_conv", x.shape[-1] // 2, 1, use_bias=False)
    return layers.average_pool(x, f"{name}_pool", 2, stride)


def _build_block4(
    shape: family_lib.Shape,
    features: Tensor,
    first_stride: int,
    layers: layers_lib.TrunkLayers,
) -> Tensor:
    """Builds transition 3 and dense block 4, [B, h, w, C] to [B, h', w', D].

    D is C at full width: 1024. `first_stride` 2 is DenseNet's own.
    """
    x = _build_transition(features, "transition3", first_stride, layers)
    rate = 2 // first_stride
    x = _build_dense_block(shape, x, "block4", rate, layers)[-1]
    return layers.norm_relu(x, "postnorm")


FAMILY = family_lib.Family(
    title="DenseNet-121",
    units_are=(
        "what the layers of dense block 3 hand on, shallowest first: all\n"
        "channels so far, then zeros. The last one is the representation. It "
        "is raw:\nput batch norm and ReLU behind it"
    ),
    output_strides=(8, 16),
    build_units=_build_units,
    build_block4=_build_block4,
    block4_strides=(16,),
    num_units={121: (6, 12, 24, 16)},  # Huang et al., table 1
    default_depth=121,
    width_parts=_GROWTH,
    unit_channels=_unit_channels,
)
