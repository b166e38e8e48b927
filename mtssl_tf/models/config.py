"""Shape of a trunk and of a mix of its units; plain Python, without Keras."""

from __future__ import annotations

import dataclasses
from typing import Any

from mtssl_tf import settings

UNITS_BY_DEPTH = {  # release: tf_slim.nets.resnet_v2, blocks 1 to 3
    50: (3, 4, 6),
    101: (3, 4, 23),
    152: (3, 8, 36),
}
OUTPUT_STRIDES = (8, 16, 32)
NUM_BLOCK4_UNITS = 3  # release: the same at every depth
ROOT_CHANNELS = 64  # release
ROOT_STRIDE = 4  # conv1 and pool1
EXPANSION = 4  # release: unit channels over bottleneck channels


@dataclasses.dataclass(frozen=True)
class TrunkConfig:
    """Shape of a trunk.

    Attributes:
        depth: 50, 101 or 152; sets the units and names TF-Slim's scope.
        num_units: units of blocks 1, 2 and 3; None takes them from `depth`.
        width: factor on all channels; `64 * width` must be whole. Below 0.25
            TensorFlow 2.20's oneDNN damages memory in the gradients of a batch
            of an odd number, where more than one thread shares an operation.
        output_stride: pixels of the picture per pixel of the last unit.
        bn_decay: of the moving statistics. 0.997 needs about 1500 steps
            before they mean anything.
        bn_epsilon: added to the variance.
    """

    depth: int = 101  # paper, sec. 3
    num_units: tuple[int, int, int] | None = None
    width: float = settings.ranged(1.0, above=0)
    output_stride: int = 16  # ours; the released weights fit all three
    bn_decay: float = settings.ranged(
        0.997, at_least=0, below=1
    )  # release: resnet_arg_scope
    bn_epsilon: float = settings.ranged(
        1e-5, above=0
    )  # release: google-deepmind/multiself

    def __post_init__(self):
        settings.check(self)
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
        return self.root_channels * 2 ** (block - 1) * EXPANSION


def _check_num_units(num_units: Any):
    if len(num_units) != 3 or not all(
        isinstance(n, int) and n >= 1 for n in num_units
    ):
        raise ValueError(
            "num_units must hold three counts of at least 1, for blocks 1, 2 "
            f"and 3, got {num_units}."
        )


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
