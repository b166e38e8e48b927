"""Graves et al. 2017, "Automated Curriculum Learning for Neural Networks":
who makes progress gets more.

The paper draws the next task by a bandit, Exp3.S, rewarded by the progress
that a step brings, and rescales rewards to [-1, 1] by the quantiles of those
so far.

Ours:
- Progress is by how much a task's mean loss fell from one update to the next,
  for each of its steps: the training losses say it, where the paper's
  prediction gain takes a second pass of the same batch. A loss is in parts of
  a blind guess's. The paper divides by time, which no run repeats to the bit.
- All tasks had steps in between, so nothing is drawn: an update adds what the
  bandit's would have added in the mean, the paper's rate times the reward
  for every step of all tasks.
- The paper's uniform part of 0.05 is left out: `train.least_share` is there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import math
from typing import ClassVar

import numpy as np

from mtssl_tf.weighting import rule

_RATE = 1e-3  # paper, sec. 5: eta, a step
_QUANTILES = (0.2, 0.8)  # paper, sec. 3.2
_NUM_REWARDS = 200  # ours: the last ones; the paper has a random reservoir


class LearningProgress(rule.Rule):
    """Shares are the bandit's policy."""

    about: ClassVar[str] = (
        "Log weights of the bandit (Graves et al. 2017), by task: they grow "
        "while its loss falls faster than the others'. Shares follow their "
        "exponential."
    )

    def __init__(self, tasks: Sequence[str]) -> None:
        super().__init__(tasks)
        self.memory = {
            "log_weights": dict.fromkeys(tasks, 0.0),
            "losses": {},  # of each task's last window
            "rewards": [],  # not rescaled, the oldest first
            "num_updates": 0,
        }

    def update(self, windows: Mapping[str, rule.Window]) -> None:
        memory = self.memory
        before = memory["losses"]
        progress = {
            task: (before[task] - each.loss) / each.num_steps
            for task, each in windows.items()
            if task in before
        }
        before.update({task: each.loss for task, each in windows.items()})
        if not progress:
            return
        memory["rewards"] = [*memory["rewards"], *progress.values()][
            -_NUM_REWARDS:
        ]
        rate = _RATE * sum(each.num_steps for each in windows.values())
        raised = dict(memory["log_weights"])
        for task, reward in progress.items():
            raised[task] += rate * rescaled(reward, memory["rewards"])
        memory["num_updates"] += 1
        memory["log_weights"] = mixed(raised, 1 / (memory["num_updates"] + 1))

    def factors(self) -> dict[str, float]:
        return {task: math.exp(w) for task, w in self.figures().items()}

    def figures(self) -> dict[str, float]:
        return dict(self.memory["log_weights"])


def rescaled(reward: float, rewards: Sequence[float]) -> float:
    """Returns a reward in [-1, 1], by the quantiles of those so far."""
    low, high = (float(q) for q in np.quantile(rewards, _QUANTILES))
    if high <= low:
        return 0.0
    return min(max(2 * (reward - low) / (high - low) - 1, -1.0), 1.0)


def mixed(log_weights: Mapping[str, float], part: float) -> dict[str, float]:
    """Returns log weights of which each has given a part to the others.

    Exp3.S's, with `part` 1 / t: so that none falls out of reach. An update
    stands for many steps t, over which the parts add up to about one over the
    number of updates.
    """
    highest = max(log_weights.values())  # exp of what is left can't overflow
    weights = {t: math.exp(w - highest) for t, w in log_weights.items()}
    total, num_others = sum(weights.values()), len(weights) - 1
    return {
        task: highest
        + math.log((1 - part) * own + part * (total - own) / num_others)
        for task, own in weights.items()
    }
