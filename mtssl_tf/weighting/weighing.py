"""A run's dynamic weights: what was measured since, and the shares now."""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses
import json

from mtssl_tf import weighting
from mtssl_tf.weighting import rule as rule_lib
from mtssl_tf.weighting import shares as shares_lib

SHARES = "shares"  # names of lines of `metrics.jsonl`, and of their values
FIGURES = "weighting"
AT_LEAST = "share_at_least"  # kind of alarm
# ours: of a task's own steps one is measured by half batches, where a rule
# asks for that. Each costs about a step.
_MEASURE_EVERY = 25
# ours: where a blind guess is always right, as of colours of grey pictures.
_LEAST_CHANCE = 1e-6


@dataclasses.dataclass
class _Sums:
    """Of one task's steps since the last update."""

    num_steps: int = 0
    loss: float = 0.0
    num_cosines: int = 0
    cosine: float = 0.0

    def window(self) -> rule_lib.Window:
        return rule_lib.Window(
            self.num_steps,
            self.loss / self.num_steps,
            self.cosine / self.num_cosines if self.num_cosines else None,
            self.num_cosines,
        )


@dataclasses.dataclass(frozen=True)
class Update:
    """New shares.

    Attributes:
        step: of all tasks, after which they hold.
        shares: task -> share of the steps; they add up to 1.
        figures: of the rule, by task: what they come from.
        alarms: task -> message, of those that have come to the least share.
    """

    step: int
    shares: Mapping[str, float]
    figures: Mapping[str, float]
    alarms: Mapping[str, str]


def is_measured(task_step: int) -> bool:
    """Returns whether a task's step, from 0, is one for half batches."""
    return task_step % _MEASURE_EVERY == _MEASURE_EVERY - 1


class Weighing:
    """Sets shares anew every so many steps.

    Attributes:
        shares: task -> share of the steps; they add up to 1.
        since: task -> steps that its turns count from, as `next_task` takes
            them: what a task was ahead or behind when shares changed is part
            of it, so that a small share is no share of nothing.
    """

    def __init__(
        self,
        name: str,
        weights: Mapping[str, float],
        chances: Mapping[str, float],
        every: int,
        least: float,
    ) -> None:
        """Starts a run.

        Args:
            name: of a rule in `weighting.RULES`.
            weights: of the tasks, as the user has set them.
            chances: a blind guess's losses.
            every: steps of all tasks between updates.
            least: least share, as `shares.shares` takes it.
        """
        self._name = name
        self._weights = dict(weights)
        self._chances = dict(chances)
        self._every = every
        self._least = least
        self._rule = weighting.RULES[name](list(weights))
        self._sums = {task: _Sums() for task in weights}
        self._step = 0  # of the last update
        self._at_least: list[str] = []
        self.shares, _ = shares_lib.shares(weights, {}, least)
        self.since: dict[str, float] = dict.fromkeys(weights, 0.0)

    def add_step(
        self, task: str, loss: float, cosine: float | None = None
    ) -> None:
        """Takes in a step.

        Args:
            task: whose it was.
            loss: of its batch.
            cosine: of half batches' gradients; None where not measured.
        """
        sums = self._sums[task]
        sums.num_steps += 1
        sums.loss += loss / max(self._chances[task], _LEAST_CHANCE)
        if cosine is not None:
            self.add_cosine(task, cosine)

    def add_cosine(self, task: str, cosine: float) -> None:
        """Takes in what half batches gave."""
        self._sums[task].num_cosines += 1
        self._sums[task].cosine += cosine

    def is_due(self, step: int) -> bool:
        """Returns whether `update` has to do after a step of all tasks."""
        return step // self._every > self._step // self._every

    def update(self, steps: Mapping[str, int]) -> Update | None:
        """Sets the shares anew, if that is due.

        Args:
            steps: that each task has done; all of them were added.
        """
        step = sum(steps.values())
        if not self.is_due(step):
            return None
        self._rule.update(
            {
                task: sums.window()
                for task, sums in self._sums.items()
                if sums.num_steps
            }
        )
        self._sums = {task: _Sums() for task in self._weights}
        self._carry(steps)
        self._step = step
        before = self._at_least
        self.shares, self._at_least = shares_lib.shares(
            self._weights, self._rule.factors(), self._least
        )
        return Update(
            step,
            dict(self.shares),
            self._rule.figures(),
            {
                task: self._alarm(task)
                for task in self._at_least
                if task not in before
            },
        )

    def scale(self, task: str) -> float:
        """Returns a task's share in parts of that which its weight gives.

        It is 1 at the start: what scales a rate where nobody takes turns.
        """
        even = self._weights[task] / sum(self._weights.values())
        return self.shares[task] / even

    def dump(self) -> str:
        """Returns all that changes, for a checkpoint."""
        return json.dumps(
            {
                "shares": self.shares,
                "since": self.since,
                "step": self._step,
                "at_least": self._at_least,
                "memory": self._rule.memory,
                "sums": {
                    task: dataclasses.asdict(sums)
                    for task, sums in self._sums.items()
                },
            }
        )

    def load(self, text: str) -> None:
        """Goes to what `dump` gave, to the bit."""
        stored = json.loads(text)
        self.shares, self.since = stored["shares"], stored["since"]
        self._step, self._at_least = stored["step"], stored["at_least"]
        self._rule.memory = stored["memory"]
        self._sums = {
            task: _Sums(**sums) for task, sums in stored["sums"].items()
        }

    def _carry(self, steps: Mapping[str, int]) -> None:
        """Counts turns from here, with what each is ahead or behind."""
        done = {task: count - self.since[task] for task, count in steps.items()}
        total = sum(done.values())
        for task, count in steps.items():
            self.since[task] = count - (done[task] - self.shares[task] * total)

    def _alarm(self, task: str) -> str:
        return (
            f"--weighting={self._name} would leave {task} less than "
            f"{self.shares[task]:.1%} of the steps, its least share, which it "
            "gets. If that is too little, go on with a higher "
            f"{task}.weight, or start anew with train.least_share higher."
        )
