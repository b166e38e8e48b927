"""Kendall, Gal and Cipolla 2018, "Multi-Task Learning Using Uncertainty to
Weigh Losses": a task that is uncertain counts for less.

The paper minimises sum_i L_i / (2 sigma_i^2) + log sigma_i over weights and
sigmas (its classification has 1 / sigma^2 before the loss: a factor of two
that is the same for all). For a given loss the best sigma_i^2 is L_i itself,
so that the factor on a loss is 1 / L_i up to a constant.

Ours: s_i = log sigma_i^2 is that closed form, of an average of the losses,
where the paper learns it by gradient descent. A loss is taken in parts of a
blind guess's, because its own scale cancels in the task's RMSProp. And the
factor exp(-s_i) is on a task's share of the steps.
"""

from __future__ import annotations

from collections.abc import Mapping
import math
from typing import ClassVar

from mtssl_tf.weighting import rule

_LEAST_LOSS = 1e-6  # ours: of a loss that is 0 there is no logarithm


class Uncertainty(rule.Rule):
    """Shares follow 1 / sigma_i^2."""

    about: ClassVar[str] = (
        "s = log sigma^2 of each task (Kendall et al. 2018): the logarithm of "
        "its loss in parts of a blind guess's. Shares follow exp(-s)."
    )

    def update(self, windows: Mapping[str, rule.Window]) -> None:
        self.average({task: each.loss for task, each in windows.items()})

    def factors(self) -> dict[str, float]:
        return {task: math.exp(-s) for task, s in self.figures().items()}

    def figures(self) -> dict[str, float]:
        return {
            task: math.log(max(loss, _LEAST_LOSS))
            for task, loss in self.averages().items()
        }
