"""What a rule of dynamic weights is: from figures of steps to factors.

Plain Python: what a rule remembers is kept in checkpoints as JSON, so that a
resumed run goes on to the bit.
"""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
import dataclasses
from typing import Any, ClassVar

# ours: of the newest window in an average of windows, some three of them.
_NEW = 0.3


@dataclasses.dataclass(frozen=True)
class Window:
    """What a task's steps since the last update gave.

    Attributes:
        num_steps: how many, at least 1.
        loss: their mean, in parts of a blind guess's, so that tasks can be
            compared: a loss's own scale cancels in the task's RMSProp.
        consistency: mean cosine of two half batches' gradients of the trunk,
            in [-1, 1]; None where nobody measured.
        num_measured: how many cosines it is the mean of.
    """

    num_steps: int
    loss: float
    consistency: float | None = None
    num_measured: int = 0


class Rule(abc.ABC):
    """Turns windows into factors on the tasks' own weights.

    Attributes:
        measures_halves: whether it needs `Window.consistency`.
        about: what its figures are, for the page about a run.
        memory: all that it remembers, as JSON can hold it.
    """

    measures_halves: ClassVar[bool] = False
    about: ClassVar[str]

    def __init__(self, tasks: Sequence[str]) -> None:
        """Starts without memory.

        Args:
            tasks: names, two or more.
        """
        self.tasks = tuple(tasks)
        self.memory: dict[str, Any] = {}

    @abc.abstractmethod
    def update(self, windows: Mapping[str, Window]) -> None:
        """Takes in what came of the steps since the last time.

        Args:
            windows: by task, of those that had a step.
        """

    @abc.abstractmethod
    def factors(self) -> dict[str, float]:
        """Returns what each task's weight is multiplied with.

        Only their ratios matter. Each is above 0; a task that nothing is
        known of yet is left out.
        """

    @abc.abstractmethod
    def figures(self) -> dict[str, float]:
        """Returns what the factors come from, by task, as `about` says."""

    def average(self, values: Mapping[str, float]) -> None:
        """Takes a number of each task into its average over windows."""
        means = self.memory.setdefault("means", {})
        for task, value in values.items():
            before = means.get(task, value)
            means[task] = before + _NEW * (value - before)

    def averages(self) -> dict[str, float]:
        """Returns what `average` has made, of the tasks that had a value."""
        return dict(self.memory.get("means", {}))
