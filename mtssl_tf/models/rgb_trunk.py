"""A trunk that takes RGB in 0..255 as it is: what users and exports get.

Inside, trunks are read without their input contract, which evaluations apply
at other strides and tasks in their own steps. Outside, nobody should need to
know that there is one. Only layers of Keras's own are used, so that Keras
alone loads what is saved.
"""

from __future__ import annotations

import keras

from mtssl_tf.models import input_contract

TRUNK_LAYER = "trunk"
_CONTRACT_LAYER = "input_contract"


def build_rgb_trunk(
    trunk: keras.Model, contract: input_contract.InputContract
) -> keras.Model:
    """Puts an input contract in front of a trunk, whose variables it shares.

    Args:
        trunk: from `build_trunk`.
        contract: of its input.

    Returns:
        A functional model from RGB in 0..255, float32 or uint8 [B, H, W, 3],
        to the trunk's units. The trunk is its layer 'trunk'.
    """
    image = keras.Input((None, None, 3), name="image", dtype="float32")
    # (rgb - mean) / sqrt(variance) is the contract's (rgb - means) * scale.
    prepared = keras.layers.Normalization(
        axis=-1,
        mean=list(contract.means_rgb),
        variance=[contract.scale**-2] * 3,
        dtype="float32",
        name=_CONTRACT_LAYER,
    )(image)
    return keras.Model(image, trunk(prepared), name="rgb_trunk")


def find_trunk(model: keras.Model) -> keras.Model:
    """Returns the trunk in what `build_rgb_trunk` gave.

    Raises:
        ValueError: there is none in it.
    """
    for layer in model.layers:
        if layer.name == TRUNK_LAYER and isinstance(layer, keras.Model):
            return layer
    raise ValueError(
        f"The model {model.name!r} holds no model named {TRUNK_LAYER!r} behind "
        "an input contract, as an export of this version has. Export it again."
    )
