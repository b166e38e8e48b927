"""Gradient consistency (ours, no paper's): who knows where to go gets more.

A step's gradient is a direction that all batches share, and noise of its own
batch. The cosine c of two half batches' gradients of the trunk tells how much
is shared: of a half batch's squared gradient it is the part c, and of the
whole batch's 2c / (1 + c) (Spearman and Brown's formula for a test of twice
the length). A step of a task moves the trunk to a purpose by that part, so
shares follow it.

The cosine is the mean of those of the trunk's variables, each by itself. Of
small batches c is near 0, and a single measurement is mostly noise. So all
tasks begin with one expectation, which measurements outweigh by and by.

A measurement costs about what a step costs (`training/half_batches.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from mtssl_tf.weighting import rule

# ours: what is expected of a task, and as how many measurements it counts.
_EXPECTED = 0.05
_NUM_EXPECTED = 20
_NUM_REMEMBERED = 200  # ours: of measurements; older ones fade
# ours: of tasks whose halves agree on nothing: a factor has to be above 0.
_LEAST = 0.002


class GradientConsistency(rule.Rule):
    """Shares follow the part of a gradient that is no noise."""

    measures_halves: ClassVar[bool] = True
    about: ClassVar[str] = (
        "Cosine c of the trunk's gradients of two half batches, by task: 1 "
        "where they agree, 0 where all is noise. Shares follow 2c / (1 + c), "
        "the part of a batch's gradient that is no noise. All tasks began with "
        f"{_EXPECTED}, as if measured {_NUM_EXPECTED} times."
    )

    def __init__(self, tasks: Sequence[str]) -> None:
        super().__init__(tasks)
        self.memory = {
            "cosines": dict.fromkeys(tasks, _EXPECTED),
            "counts": dict.fromkeys(tasks, _NUM_EXPECTED),
        }

    def update(self, windows: Mapping[str, rule.Window]) -> None:
        cosines, counts = self.memory["cosines"], self.memory["counts"]
        for task, window in windows.items():
            if window.consistency is None:
                continue
            new = window.num_measured
            old = min(counts[task], max(0, _NUM_REMEMBERED - new))
            total = old * cosines[task] + new * window.consistency
            counts[task] = old + new
            cosines[task] = total / counts[task]

    def factors(self) -> dict[str, float]:
        cosines = {t: max(c, _LEAST) for t, c in self.figures().items()}
        return {task: 2 * c / (1 + c) for task, c in cosines.items()}

    def figures(self) -> dict[str, float]:
        return dict(self.memory["cosines"])
