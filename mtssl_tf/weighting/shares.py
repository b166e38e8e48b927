"""From weights and factors to shares of the steps, none of which starves."""

from __future__ import annotations

from collections.abc import Mapping
import statistics


def shares(
    weights: Mapping[str, float],
    factors: Mapping[str, float],
    least: float,
) -> tuple[dict[str, float], list[str]]:
    """Returns shares that add up to 1, and who has no more than the least.

    Args:
        weights: of the tasks, as the user has set them; above 0.
        factors: of a rule, above 0; a task without one has the others' mean.
        least: in (0, 1): the least share of a task, in parts of the share
            that its weight alone gives it.

    Returns:
        Task -> share, in the order of `weights`; the tasks that are held up
        at their least share.
    """
    mean = statistics.fmean(factors.values()) if factors else 1.0
    total = sum(weights.values())
    even = {task: weight / total for task, weight in weights.items()}
    asked = {task: even[task] * factors.get(task, mean) for task in weights}
    held_up: list[str] = []
    while True:
        rest = 1 - sum(least * even[task] for task in held_up)
        free = sum(asked[task] for task in weights if task not in held_up)
        found = {
            task: least * even[task]
            if task in held_up
            else asked[task] * rest / free
            for task in weights
        }
        low = [
            task
            for task, share in found.items()
            if task not in held_up and share < least * even[task]
        ]
        if not low:
            return found, held_up
        # What they get is the others' loss, which may bring others down too.
        held_up += low
