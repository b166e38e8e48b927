"""The families of trunks by name: `--set trunk.family=NAME`."""

from __future__ import annotations

from mtssl_tf.models import densenet121
from mtssl_tf.models import family as family_lib
from mtssl_tf.models import own_function
from mtssl_tf.models import resnet_v2
from mtssl_tf.models import vgg16

DEFAULT = "resnet_v2"
FAMILIES: dict[str, family_lib.Family] = {
    DEFAULT: resnet_v2.FAMILY,
    "vgg16": vgg16.FAMILY,
    "vgg16_bn": vgg16.FAMILY_BN,
    "densenet121": densenet121.FAMILY,
}


def find_family(name: str) -> family_lib.Family:
    """Returns a family.

    Args:
        name: in `FAMILIES`, or MODULE:FUNCTION.

    Raises:
        ValueError: there is none of this name.
    """
    if name in FAMILIES:
        return FAMILIES[name]
    if is_own(name):
        return own_function.make_family(name)
    raise ValueError(
        f"There is no family of trunks {name!r}. Known: {', '.join(FAMILIES)}, "
        "or MODULE:FUNCTION of your own."
    )


def is_own(name: str) -> bool:
    """Says whether a family's name is that of somebody's own function."""
    return own_function.SEPARATOR in name
