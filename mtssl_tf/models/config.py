"""Shape of a trunk and of a mix of its units; plain Python, without Keras."""

from __future__ import annotations

import dataclasses

from mtssl_tf import settings
from mtssl_tf.models import families
from mtssl_tf.models import family as family_lib


@dataclasses.dataclass(frozen=True)
class TrunkConfig:
    """Shape of a trunk.

    Attributes:
        depth: one that the family has; None is the family's own. It sets the
            units, and for a ResNet names TF-Slim's scope.
        num_units: units of each block, as many counts as the family has
            blocks; None takes them from `depth`.
        width: factor on all channels, which must stay whole. Below 0.25 of a
            ResNet TensorFlow 2.20's oneDNN damages memory in the gradients of
            a batch of an odd number, where more than one thread shares an
            operation.
        output_stride: pixels of the picture per pixel of the last unit.
        bn_decay: of the moving statistics. 0.997 needs about 1500 steps
            before they mean anything.
        bn_epsilon: added to the variance.
        family: a name in `families.FAMILIES`. With `--set` it goes before the
            other settings of the trunk, and takes `depth` and `num_units` back
            to the family's own.
    """

    depth: int | None = None
    num_units: tuple[int, ...] | None = None
    width: float = settings.ranged(1.0, above=0, at_most=64)
    output_stride: int = 16  # ours; the released weights fit all three
    bn_decay: float = settings.ranged(
        0.997, above=0, below=1
    )  # release: resnet_arg_scope
    bn_epsilon: float = settings.ranged(
        1e-5, above=0
    )  # release: google-deepmind/multiself
    family: str = settings.deciding(families.DEFAULT, "depth", "num_units")

    def __post_init__(self):
        settings.check(self)
        family = families.find_family(self.family)
        if self.depth is None:
            object.__setattr__(self, "depth", family.default_depth)
        if self.num_units is not None:
            # A list is what a JSON file gives.
            object.__setattr__(self, "num_units", tuple(self.num_units))
        family_lib.check_shape(family, self)

    @property
    def units_per_block(self) -> tuple[int, ...]:
        """Number of units of each block; empty where nobody knows."""
        known = families.find_family(self.family).num_units
        return self.num_units or known.get(self.depth or 0, ())

    @property
    def unit_channels(self) -> int | None:
        """Channels of the last unit; None where nobody knows."""
        count = families.find_family(self.family).unit_channels
        return None if count is None else count(self)

    @property
    def title(self) -> str:
        """Its family and depth, for people."""
        return families.find_family(self.family).title.format(depth=self.depth)

    def stride_up_to(self, wanted: int) -> int:
        """Returns the coarsest output stride up to `wanted` that it can have.

        For what is read at a preset's stride, which no user has asked for.
        """
        return families.find_family(self.family).stride_up_to(wanted)


@dataclasses.dataclass(frozen=True)
class LassoConfig:
    """Settings of one `LassoMix`.

    Attributes:
        l1: weight of the L1 penalty on the unit-norm mix (paper, sec. 3.2;
            the value is ours, chosen in docs/lasso.md).
        group_l1: weight of the group penalty on runs of neighbouring units
            (ours, after the paper's sec. 7); 0 leaves it out.
        group_size: number of neighbouring units in a group.
        proximal: whether `LassoMix.proximal_step` applies the penalties,
            which makes exact zeros (ours: docs/lasso.md); if not, they are
            in `LassoMix.losses`.
    """

    l1: float = settings.ranged(1e-2, at_least=0)
    group_l1: float = settings.ranged(0.0, at_least=0)
    group_size: int = settings.ranged(4, at_least=1)
    proximal: bool = True

    def __post_init__(self):
        settings.check(self)
