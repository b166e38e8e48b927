"""VGG-16 (Simonyan and Zisserman 2015, configuration D): no shortcuts.

The units are the convolutions of stages 4 and 5, before their ReLU, as a
ResNet's units are raw sums: six, of one number of channels. The paper's
section 7 asks for trunks whose layers are less alike; nothing carries a layer
of these past the next one. Those of stage 4 are pooled as what follows them
is, so that all have one size. Ours; the last of stage 5 alone is what VGG's
users read.

It is `keras.applications.VGG16` without its top, and has its weights. Two
things differ. Pools round sides up, Keras's down: the same where a side
divides by 32. And output strides below 32 are `output_stride`'s, as in
DeepLab (Chen et al. 2015): a pool that may not stride moves by one place, and
what follows dilates.

There is no batch norm in `vgg16`: `bn_decay` and `bn_epsilon` are not read.
`vgg16_bn` has one behind every convolution, in place of its bias, and its
units are what that gives. Its size is torchvision's of this name, less the
biases. It is the one to train from random weights: tasks read the trunk
through batch norm, so nothing holds the size of an unnormalised trunk's sums.
"""

from __future__ import annotations

from collections.abc import Collection
import dataclasses
import functools
import re
from typing import TYPE_CHECKING

from mtssl_tf.lazy_imports import keras
from mtssl_tf.models import family as family_lib

if TYPE_CHECKING:
    from keras import KerasTensor as Tensor

    from mtssl_tf.models import layers as layers_lib

_STAGE_CHANNELS = (64, 128, 256, 512, 512)  # paper's table 1, D
_FIRST_STAGE_OF_UNITS = 4


def _build_units(
    shape: family_lib.Shape,
    layers: layers_lib.TrunkLayers,
    batch_norm: bool = False,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Builds five stages; returns the convolutions of the last two.

    At output stride 32 the last one is pooled, as what follows VGG is.
    """
    image = keras.Input((None, None, 3), name="image", dtype="float32")
    x = image
    stride, rate = 1, 1
    units: dict[str, Tensor] = {}
    stages = zip(shape.units_per_block, _STAGE_CHANNELS, strict=True)
    for stage, (count, channels) in enumerate(stages, start=1):
        pool = 1 if stride == shape.output_stride else 2
        is_last_stage = stage == len(_STAGE_CHANNELS)
        for number in range(1, count + 1):
            name = f"conv{stage}_{number}"
            filters = int(channels * shape.width)
            x = _build_conv(layers, x, name, filters, 3, rate, batch_norm)
            is_last = number == count
            if stage >= _FIRST_STAGE_OF_UNITS:
                unit = x
                if not is_last_stage or (is_last and pool == 2):
                    unit = layers.max_pool(x, f"{name}_pool", 2, pool)
                units[f"unit_{len(units) + 1:02d}"] = unit
                if is_last:
                    x = unit  # a pool and ReLU may change places
            elif is_last:
                x = layers.max_pool(x, f"{name}_pool", 2, pool)
            if not (is_last and is_last_stage):
                x = layers.relu(x, f"{name}_relu")
        stride *= pool
        rate *= 2 // pool
    return image, units


def _build_block4(
    shape: family_lib.Shape,
    features: Tensor,
    first_stride: int,
    layers: layers_lib.TrunkLayers,
    batch_norm: bool = False,
) -> Tensor:
    """Builds fc6 and fc7 as convolutions, [B, h, w, C] to [B, h', w', 2 * C].

    Not VGG's own, which take 120 million weights and one size of picture, but
    DeepLab's (Chen et al. 2015): 3 x 3 and 1 x 1, with 1024 channels.
    """
    channels = 2 * features.shape[-1]
    x, rate = features, 1
    if shape.output_stride == 16:
        x = layers.max_pool(x, "pool5", 2, first_stride)
        rate = 2 // first_stride
    x = layers.relu(x, "pool5_relu")
    x = _build_conv(layers, x, "fc6", channels, 3, rate, batch_norm)
    x = layers.relu(x, "fc6_relu")
    x = _build_conv(layers, x, "fc7", channels, 1, 1, batch_norm)
    return layers.relu(x, "fc7_relu")


def _build_conv(
    layers: layers_lib.TrunkLayers,
    x: Tensor,
    name: str,
    filters: int,
    kernel_size: int,
    rate: int,
    batch_norm: bool,
) -> Tensor:
    """A convolution with its bias, or with batch norm in place of it."""
    x = layers.conv(
        x, name, filters, kernel_size, rate=rate, use_bias=not batch_norm
    )
    return layers.norm(x, f"{name}_BatchNorm") if batch_norm else x


_SLIM_KERNEL = re.compile(r"conv(\d)/conv\1_\d+/weights")


def _slim_layer(name: str) -> str | None:
    """Translates 'conv5_3' to 'conv5/conv5_3'."""
    match = re.fullmatch(r"(conv\d)_\d+", name)
    return f"{match[1]}/{name}" if match else None


def _slim_num_units(names: Collection[str]) -> tuple[int, ...]:
    matches = [_SLIM_KERNEL.fullmatch(name) for name in names]
    stages = [int(match[1]) for match in matches if match]
    return tuple(
        stages.count(stage) for stage in range(1, len(_STAGE_CHANNELS) + 1)
    )


FAMILY = family_lib.Family(
    title="VGG-16",
    units_are=(
        "the convolutions of stages 4 and 5, shallowest first, those of stage "
        "4\nbehind its pool. The last one is the representation. ReLU is not "
        "in it"
    ),
    output_strides=(8, 16, 32),
    build_units=_build_units,
    build_block4=_build_block4,
    block4_strides=(16, 32),
    num_units={16: (2, 2, 3, 3, 3)},  # paper's table 1, D
    default_depth=16,
    width_parts=_STAGE_CHANNELS[0],
    unit_channels=lambda shape: int(_STAGE_CHANNELS[-1] * shape.width),
    # release: tf_slim.nets.vgg.vgg_16
    slim=family_lib.SlimForm(
        "vgg_16", "conv1/conv1_1/weights", _slim_layer, _slim_num_units
    ),
)

FAMILY_BN = dataclasses.replace(
    FAMILY,
    title="VGG-16 with batch norm",
    units_are=(
        "the batch-normalised convolutions of stages 4 and 5, shallowest "
        "first,\nthose of stage 4 behind its pool. The last one is the "
        "representation. ReLU is\nnot in it"
    ),
    build_units=functools.partial(_build_units, batch_norm=True),
    build_block4=functools.partial(_build_block4, batch_norm=True),
    slim=None,
)
