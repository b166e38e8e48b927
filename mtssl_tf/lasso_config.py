"""How a task's mix of units is regularised; importable without Keras."""

from __future__ import annotations

import dataclasses


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

    l1: float = 1e-2
    group_l1: float = 0.0
    group_size: int = 4
    proximal: bool = True

    def __post_init__(self):
        for name in ("l1", "group_l1"):
            value = getattr(self, name)
            if not 0.0 <= value < float("inf"):
                raise ValueError(
                    f"{name} is the weight of a penalty: a finite number, "
                    f"0 or above. Got {value}."
                )
        if self.group_size < 1:
            raise ValueError(
                "group_size counts neighbouring units: 1 or above. Got "
                f"{self.group_size}."
            )
