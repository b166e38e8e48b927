"""Chen et al. 2018, "GradNorm: Gradient Normalization for Adaptive Loss
Balancing in Deep Multitask Networks": who learns slowly gets more.

The paper tunes factors on the losses until the norm of task i's gradient is
the mean norm times r_i^alpha. r_i is the relative inverse training rate:
L_i / L_i(0), divided by the mean of that over tasks.

Ours: each task's RMSProp already makes its steps of one length whatever the
norm of its gradient is, so that the mean norm is there and r_i^alpha is left
to do: on the task's share of the steps. For L_i(0) stands a blind guess's
loss, as in the paper for losses whose first value says little (its log C).
The losses are averaged over windows.
"""

from __future__ import annotations

from collections.abc import Mapping
import statistics
from typing import ClassVar

from mtssl_tf.weighting import rule

_ALPHA = 1.5  # paper, sec. 5: its best one for NYUv2
_LEAST_RATE = 1e-6  # ours: a factor has to be above 0


class GradNorm(rule.Rule):
    """Shares follow r_i^alpha."""

    about: ClassVar[str] = (
        "r, the relative inverse training rate of each task (Chen et al. "
        "2018): above 1 it has learned less than the mean of the tasks. "
        f"Shares follow r to the power of {_ALPHA}."
    )

    def update(self, windows: Mapping[str, rule.Window]) -> None:
        self.average({task: each.loss for task, each in windows.items()})

    def factors(self) -> dict[str, float]:
        return {
            task: max(rate, _LEAST_RATE) ** _ALPHA
            for task, rate in self.figures().items()
        }

    def figures(self) -> dict[str, float]:
        losses = self.averages()
        mean = statistics.fmean(losses.values()) if losses else 0.0
        if not mean:
            return dict.fromkeys(losses, 1.0)  # all is learned
        return {task: loss / mean for task, loss in losses.items()}
