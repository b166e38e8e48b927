"""What a family of trunks has to offer: a ResNet, a VGG, a DenseNet, ...

Plain Python until a trunk is built. What all families share:

- Input is float32 [B, H, W, 3] to which an `InputContract` was applied.
- Units are named `unit_01` to `unit_NN` in depth order. Evaluations read the
  last one; a mix reads all.
- Side lengths are rounded up: a side of H pixels has ceil(H / s) places at
  output stride s.
- Output strides are one set of weights. What strides less dilates more.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
import dataclasses
from typing import Protocol, TYPE_CHECKING

if TYPE_CHECKING:
    from keras import KerasTensor as Tensor

    from mtssl_tf.models import layers as layers_lib


class Shape(Protocol):
    """What a family is told of a trunk's shape: a `TrunkConfig`."""

    @property
    def family(self) -> str: ...

    @property
    def depth(self) -> int | None: ...

    @property
    def num_units(self) -> tuple[int, ...] | None: ...

    @property
    def units_per_block(self) -> tuple[int, ...]: ...

    @property
    def width(self) -> float: ...

    @property
    def output_stride(self) -> int: ...

    @property
    def bn_decay(self) -> float: ...

    @property
    def bn_epsilon(self) -> float: ...


@dataclasses.dataclass(frozen=True)
class SlimForm:
    """How TF-Slim's checkpoints hold a trunk of a family that is no ResNet.

    Attributes:
        scope: what stands before all of its variables' names.
        first_kernel: the first convolution's kernel, without the scope: by it
            a checkpoint of the family is known.
        layer: name of a layer here -> the same there; None where it has none.
        num_units: names of variables without the scope -> units of each block.
    """

    scope: str
    first_kernel: str
    layer: Callable[[str], str | None]
    num_units: Callable[[Collection[str]], tuple[int, ...]]


@dataclasses.dataclass(frozen=True)
class Family:
    """One family.

    Attributes:
        title: for people, with `{depth}` where it has several.
        units_are: what its units are, for the model card.
        output_strides: pixels of the picture per place of the last unit, of
            which any can be asked for.
        build_units: (shape, layers) -> the image's input, and the units by
            name. All units have one shape at output stride 16 and below.
        build_block4: (shape, features, first_stride, layers) -> what detection
            and labels put on the last unit: [B, h, w, C] to [B, h', w', D].
            With `first_stride` 2 on a trunk of output stride 16 it strides;
            with 1 it keeps the size.
        block4_strides: output strides of the trunk that block 4 can read.
        num_units: depth -> units of each block that `TrunkConfig.num_units`
            may change; empty where the shape is not known beforehand.
        default_depth: the depth of a trunk that names none.
        width_parts: `width` must be a multiple of one part in so many, so
            that every layer has a whole number of channels; 0 asks nothing.
        unit_channels: shape -> channels of the last unit; None where they are
            not known beforehand.
        slim: how TF-Slim has it, beside its ResNets; None where it has not.
        is_chain: whether each unit is computed from the one before alone,
            behind block 2, so that `RecomputedTrunk` can take it apart.
    """

    title: str
    units_are: str
    output_strides: tuple[int, ...]
    build_units: Callable[
        [Shape, layers_lib.TrunkLayers], tuple[Tensor, dict[str, Tensor]]
    ]
    build_block4: Callable[[Shape, Tensor, int, layers_lib.TrunkLayers], Tensor]
    block4_strides: tuple[int, ...] = (8, 16, 32)
    num_units: Mapping[int, tuple[int, ...]] = dataclasses.field(
        default_factory=dict
    )
    default_depth: int | None = None
    width_parts: int = 0
    unit_channels: Callable[[Shape], int] | None = None
    slim: SlimForm | None = None
    is_chain: bool = False

    def stride_up_to(self, wanted: int) -> int:
        """Returns the coarsest output stride up to `wanted`, if there is one.

        Otherwise the finest.
        """
        strides = self.output_strides
        return max(s for s in strides if s <= max(wanted, min(strides)))


def check_shape(family: Family, shape: Shape) -> None:
    """Checks a shape against what a family has.

    Raises:
        ValueError: names the setting, and what there is.
    """
    name = shape.family
    if shape.output_stride not in family.output_strides:
        raise ValueError(
            f"output_stride must be one of {list(family.output_strides)} for "
            f"{name}, got {shape.output_stride}."
        )
    if not family.num_units:
        return
    if shape.depth not in family.num_units:
        raise ValueError(
            f"depth must be one of {list(family.num_units)} for {name}, got "
            f"{shape.depth}. For other sizes set num_units and width."
        )
    _check_num_units(family, shape)
    parts = shape.width * family.width_parts
    if not parts >= 1 or parts != int(parts):
        raise ValueError(
            "width must give every layer a whole number of channels, got "
            f"width={shape.width}. Choose a positive multiple of "
            f"1/{family.width_parts} for {name}."
        )


def _check_num_units(family: Family, shape: Shape) -> None:
    if shape.num_units is None:
        return
    (count,) = {len(units) for units in family.num_units.values()}
    if len(shape.num_units) != count or not all(
        isinstance(n, int) and n >= 1 for n in shape.num_units
    ):
        raise ValueError(
            f"num_units must hold {count} counts of at least 1 for "
            f"{shape.family}, one a block, got {shape.num_units}."
        )
