"""Steps that were started and whose numbers may still be on a GPU.

To ask for a number of a step is to wait for the step, and a GPU that is
waited for has nothing to do next. So the numbers of many steps are fetched at
once, and whether a step was finite is asked when the next one is started:
then a GPU is busy with that. On a CPU steps are done when they return.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import tensorflow as tf

from mtssl_tf.training import step as step_lib


@dataclasses.dataclass(frozen=True)
class Started:
    """A step that was started.

    Attributes:
        step: of all tasks, from 0.
        task: whose it is.
        batch: what it is taken on.
        outcome: what it gives.
    """

    step: int
    task: str
    batch: Any
    outcome: step_lib.Outcome


@dataclasses.dataclass(frozen=True)
class Fetched:
    """A step's numbers.

    Attributes:
        step: of all tasks, from 0.
        task: whose it was.
        numbers: as `StepFunction.names` orders them.
    """

    step: int
    task: str
    numbers: list[float]


class StepsUnderWay:
    """Collects steps, and holds the batch of the last one alone."""

    def __init__(self) -> None:
        self._last: Started | None = None
        self._numbers: list[tuple[int, str, tf.Tensor]] = []

    def add(self, started: Started) -> Started | None:
        """Adds a step; returns the one before if it was not finite."""
        before = self.find_bad()
        self._last = started
        self._numbers.append(
            (started.step, started.task, started.outcome.numbers)
        )
        return before

    def find_bad(self) -> Started | None:
        """Returns the last step if it is not finite, and waits for it."""
        last, self._last = self._last, None
        if last is None or bool(last.outcome.is_finite):
            return None
        return last

    def fetch(self) -> list[Fetched]:
        """Returns the numbers of all steps since the last time, in one go."""
        if not self._numbers:
            return []
        steps, self._numbers = self._numbers, []
        tensors = [numbers for *_, numbers in steps]
        values = tf.concat(tensors, 0).numpy()
        ends = np.cumsum([len(each) for each in tensors])[:-1]
        return [
            Fetched(step, task, part.tolist())
            for (step, task, _), part in zip(steps, np.split(values, ends))
        ]
