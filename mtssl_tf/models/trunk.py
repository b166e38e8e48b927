"""The trunk: a picture in, its units by name out, on Keras 3.

Which layers it has is its family's business (`families.py`).
`output_stride` trades resolution for compute with the same weights: once it
is reached, later strides become dilation rates (paper, sec. 3).
"""

from __future__ import annotations

import keras

from mtssl_tf.models import config as model_config
from mtssl_tf.models import families
from mtssl_tf.models import layers as layers_lib


def build_trunk(
    config: model_config.TrunkConfig,
    share: keras.Model | None = None,
    dtype: str = "float32",
) -> keras.Model:
    """Builds a trunk as a model that returns all its units.

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
    family = families.find_family(config.family)
    image, units = family.build_units(config, layers)
    layers.check_complete()
    return keras.Model(image, units, name=_name("trunk", config, share))


def build_block4(
    config: model_config.TrunkConfig,
    first_stride: int = 1,
    share: keras.Model | None = None,
    dtype: str = "float32",
    channels: int | None = None,
) -> keras.Model:
    """Builds block 4, which reads the last unit of block 3.

    Args:
        config: shape of the trunk underneath; its `output_stride` sets the
            dilation rate, so that one set of weights serves at every stride.
        first_stride: 1 keeps the size of the features: TF-Slim's block 4. 2
            strides and dilates nowhere: the box head on features of stride 16.
        share: a block 4 whose variables the new one uses.
        dtype: as in `build_trunk`.
        channels: C of the trunk's last unit; None takes it from `config`,
            which does not know it of a family of one's own.

    Returns:
        A model from float [B, h, w, C] to [B, h', w', D], ending in ReLU. A
        ResNet's D is 2 * C, and batch norm stands before its ReLU.

    Raises:
        ValueError: block 4 does not fit the trunk's output stride, or `share`
            has other layers than `config` asks for.
    """
    family = families.find_family(config.family)
    if config.output_stride not in family.block4_strides:
        strides = " or ".join(map(str, family.block4_strides))
        raise ValueError(
            f"What follows {config.title} (for labels and detection) reads "
            f"output stride {strides}, got "
            f"output_stride={config.output_stride}."
        )
    if first_stride not in (1, 2):
        raise ValueError(f"first_stride must be 1 or 2, got {first_stride}.")
    if first_stride == 2 and config.output_stride != 16:
        raise ValueError(
            "first_stride=2 replaces the stride that a trunk of output_stride "
            f"16 left out of block 3, got output_stride={config.output_stride}."
        )
    layers = _make_layers(config, share, dtype)
    features = keras.Input(
        (None, None, channels or config.unit_channels),
        name="features",
        dtype="float32",
    )
    x = family.build_block4(config, features, first_stride, layers)
    layers.check_complete()
    return keras.Model(features, x, name=_name("block4", config, share))


def _name(
    kind: str, config: model_config.TrunkConfig, share: keras.Model | None
) -> str:
    if share is None:
        return kind
    return f"{share.name}_stride_{config.output_stride}"


def _make_layers(
    config: model_config.TrunkConfig, share: keras.Model | None, dtype: str
) -> layers_lib.TrunkLayers:
    if share is None:
        return layers_lib.NewLayers(config.bn_decay, config.bn_epsilon, dtype)
    return layers_lib.SharedLayers(share)
