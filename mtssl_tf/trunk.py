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

import dataclasses
from typing import Any, TYPE_CHECKING

from mtssl_tf.lazy_imports import keras

if TYPE_CHECKING:
    from keras import KerasTensor as Tensor

    from mtssl_tf.trunk_layers import TrunkLayers

UNITS_BY_DEPTH = {  # release: tf_slim.nets.resnet_v2, blocks 1 to 3
    50: (3, 4, 6),
    101: (3, 4, 23),
    152: (3, 8, 36),
}
OUTPUT_STRIDES = (8, 16, 32)
NUM_BLOCK4_UNITS = 3  # release: the same at every depth
ROOT_CHANNELS = 64  # release
_ROOT_STRIDE = 4  # conv1 and pool1
_EXPANSION = 4  # release: unit channels over bottleneck channels


@dataclasses.dataclass(frozen=True)
class TrunkConfig:
    """Shape of a trunk.

    Attributes:
        depth: 50, 101 or 152; sets the units and names TF-Slim's scope.
        num_units: units of blocks 1, 2 and 3; None takes them from `depth`.
        width: factor on all channels; `64 * width` must be whole.
        output_stride: pixels of the picture per pixel of the last unit.
        use_block4: whether the run also trains block 4 on top of the trunk
            (`build_block4`), as the labels baseline does.
        bn_decay: of the moving statistics. 0.997 needs about 1500 steps
            before they mean anything.
        bn_epsilon: added to the variance.
    """

    depth: int = 101  # paper, sec. 3
    num_units: tuple[int, int, int] | None = None
    width: float = 1.0
    output_stride: int = 16  # ours; the released weights fit all three
    use_block4: bool = False
    bn_decay: float = 0.997  # release: resnet_arg_scope
    bn_epsilon: float = 1e-5  # release: google-deepmind/multiself

    def __post_init__(self):
        if self.depth not in UNITS_BY_DEPTH:
            raise ValueError(
                f"depth must be one of {list(UNITS_BY_DEPTH)}, got "
                f"{self.depth}. For other sizes set num_units and width."
            )
        if self.num_units is not None:
            # A list is what a JSON file gives.
            object.__setattr__(self, "num_units", tuple(self.num_units))
            _check_num_units(self.num_units)
        channels = ROOT_CHANNELS * self.width
        if not channels >= 1 or channels != int(channels):
            raise ValueError(
                "width must give conv1 a whole number of channels "
                f"({ROOT_CHANNELS} * width), got width={self.width}. Choose "
                f"a positive multiple of 1/{ROOT_CHANNELS}."
            )
        if self.output_stride not in OUTPUT_STRIDES:
            raise ValueError(
                f"output_stride must be one of {list(OUTPUT_STRIDES)}, got "
                f"{self.output_stride}."
            )
        if not 0 < self.bn_decay < 1:
            raise ValueError(
                f"bn_decay must lie between 0 and 1, got {self.bn_decay}."
            )
        if not self.bn_epsilon > 0:
            raise ValueError(
                f"bn_epsilon must be positive, got {self.bn_epsilon}."
            )

    @property
    def units_per_block(self) -> tuple[int, int, int]:
        """Number of units of blocks 1, 2 and 3."""
        return self.num_units or UNITS_BY_DEPTH[self.depth]

    @property
    def root_channels(self) -> int:
        """Channels of conv1."""
        return int(ROOT_CHANNELS * self.width)

    def unit_channels(self, block: int) -> int:
        """Channels of the unit outputs of `block`, counted from 1."""
        return self.root_channels * 2 ** (block - 1) * _EXPANSION


def _check_num_units(num_units: Any):
    if len(num_units) != 3 or not all(
            isinstance(n, int) and n >= 1 for n in num_units):
        raise ValueError(
            "num_units must hold three counts of at least 1, for blocks 1, 2 "
            f"and 3, got {num_units}."
        )


def build_trunk(
    config: TrunkConfig, share: keras.Model | None = None
) -> keras.Model:
    """Builds conv1 to block 3 as a model that returns all block-3 units.

    Args:
        config: shape of the trunk.
        share: a trunk of the same shape whose variables the new one uses, at
            its own output stride. Such a trunk can't be saved: save `share`.

    Returns:
        A model from float32 [B, H, W, 3] (an `InputContract` applied) to
        {'unit_01': [B, H/s, W/s, C], ...} in depth order, any H and W. At
        output stride 32 the last unit has half the size of the others.

    Raises:
        ValueError: `share` has other layers than `config` asks for.
    """
    layers = _make_layers(config, share)
    image = keras.Input((None, None, 3), name="image", dtype="float32")
    x = layers.conv(image, "conv1", config.root_channels, 7, stride=2)
    x = layers.max_pool(x, "pool1", 3, stride=2)  # [B, H/4, W/4, 64]
    stride = _ROOT_STRIDE
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
    config: TrunkConfig,
    first_stride: int = 1,
    share: keras.Model | None = None,
) -> keras.Model:
    """Builds block 4, which reads the last unit of block 3.

    Args:
        config: shape of the trunk underneath; its `output_stride` sets the
            dilation rate, so that one set of weights serves at every stride.
        first_stride: 1 is TF-Slim's block 4. 2 strides in the first unit and
            dilates nowhere: the box head on features of stride 16.
        share: a block 4 whose variables the new one uses.

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
    layers = _make_layers(config, share)
    channels = config.unit_channels(4)
    inputs = keras.Input((None, None, channels // 2), name="features")
    x = inputs
    for unit in range(1, NUM_BLOCK4_UNITS + 1):
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


def _name(kind: str, config: TrunkConfig, share: keras.Model | None) -> str:
    if share is None:
        return kind
    return f"{share.name}_stride_{config.output_stride}"


def _build_unit(
    x: Tensor,
    name: str,
    channels: int,
    stride: int,
    rate: int,
    layers: TrunkLayers,
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


def _make_layers(
    config: TrunkConfig, share: keras.Model | None
) -> TrunkLayers:
    # Imported here, as layer classes need Keras and `TrunkConfig` must not.
    from mtssl_tf.shared_layers import SharedLayers
    from mtssl_tf.trunk_layers import NewLayers

    if share is None:
        return NewLayers(config.bn_decay, config.bn_epsilon)
    return SharedLayers(share)
