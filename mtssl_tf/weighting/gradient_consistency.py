"""Gradient consistency (ours, no paper's): who knows where to go gets more.

A step's gradient is a direction that all batches share, and noise of its own
batch. The cosine c of two half batches' gradients of the trunk tells how much
is shared: of a half batch's squared gradient it is the part c, and of the
whole batch's 2c / (1 + c) (Spearman and Brown's formula for a test of twice
the length). A step of a task moves the trunk to a purpose by that part, so
shares follow it.

It costs a forward and a backward pass of the batch for each measurement
(`training/half_batches.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from mtssl_tf.weighting import rule

# ours: of tasks whose halves agree on nothing, which the measurements' noise
# would tell apart without end.
_LEAST = 0.01


class GradientConsistency(rule.Rule):
    """Shares follow the part of a gradient that is no noise."""

    measures_halves: ClassVar[bool] = True
    about: ClassVar[str] = (
        "Cosine c of the trunk's gradients of two half batches, by task: 1 "
        "where they agree, 0 where all is noise. Shares follow 2c / (1 + c), "
        "the part of a batch's gradient that is no noise."
    )

    def update(self, windows: Mapping[str, rule.Window]) -> None:
        self.average(
            {
                task: each.consistency
                for task, each in windows.items()
                if each.consistency is not None
            }
        )

    def factors(self) -> dict[str, float]:
        cosines = {t: max(c, _LEAST) for t, c in self.figures().items()}
        return {task: 2 * c / (1 + c) for task, c in cosines.items()}

    def figures(self) -> dict[str, float]:
        return self.averages()
