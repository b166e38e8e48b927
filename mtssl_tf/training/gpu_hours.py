"""What steps cost, as the paper counts it (appendix, Fig. 3).

Wall time on shared machines says little, so the paper multiplies each task's
steps by a constant: its seconds per step, measured once when nothing else
runs, and fixed across all experiments. Experiments are compared at equal cost,
and a snapshot is due whenever the sum over tasks crosses a threshold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import dataclasses
import statistics

from mtssl_tf import settings
from mtssl_tf.training import schedule

# ours: steps of each task that its seconds per step are measured on. The first
# ones are left out: they are built, find memory and live on what is made ahead.
NUM_MEASURED = 30
NUM_WARM_UP = 10

_SECONDS_PER_HOUR = 3600.0
_ROUNDING = 1e-9  # of sums of many seconds, relative


@dataclasses.dataclass(frozen=True)
class GpuHours:
    """The price of a step of each task.

    Attributes:
        seconds: task -> GPU seconds of one of its steps: what a clock shows,
            times the GPUs that work on it. A machine without any is as one.
    """

    seconds: Mapping[str, float]

    def of(self, steps: Mapping[str, int]) -> float:
        """Returns the GPU hours of these steps of each task."""
        seconds = sum(n * self.seconds[task] for task, n in steps.items())
        return seconds / _SECONDS_PER_HOUR

    def crosses(
        self,
        before: Mapping[str, int],
        after: Mapping[str, int],
        every: float,
    ) -> bool:
        """Returns whether the cost passes a multiple of `every` hours."""
        return num_passed(self.of(after), every) > num_passed(
            self.of(before), every
        )

    def steps_for(self, hours: float, weights: Mapping[str, float]) -> int:
        """Returns the steps, over all tasks, that so many GPU hours buy.

        They are the first ones whose cost reaches `hours`, so that the last
        snapshot of a run that ends there is its end.

        Args:
            hours: above 0.
            weights: of the tasks, by which they take turns.

        Raises:
            ValueError: they are more than a run can have.
        """
        mean = sum(w * self.seconds[task] for task, w in weights.items())
        mean /= sum(weights.values())
        wanted = hours * _SECONDS_PER_HOUR / mean
        if wanted > settings.LARGEST:
            raise ValueError(
                f"{hours:g} GPU hours buy {wanted:.3g} steps, and "
                f"{settings.LARGEST:g} are the most that a run has."
            )
        guess = int(wanted)
        # Off by a turn of each task at most, as turns are whole steps.
        num_steps = max(1, guess - 2 * len(weights))
        while not num_passed(
            self.of(schedule.steps_after(num_steps, weights)), hours
        ):
            num_steps += 1
        return num_steps


def median_of_measured(step_s: Sequence[float]) -> float:
    """Returns the median seconds of `NUM_MEASURED` steps in a row."""
    return statistics.median(step_s[NUM_WARM_UP:])


def num_passed(hours: float, every: float) -> int:
    """Returns how many multiples of `every` a cost has reached."""
    return int(hours / every * (1.0 + _ROUNDING))
