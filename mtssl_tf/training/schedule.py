"""Whose turn it is: one head is active a step (paper, sec. 3.1)."""

from __future__ import annotations

from collections.abc import Mapping


def next_task(
    steps: Mapping[str, int],
    weights: Mapping[str, float],
    since: Mapping[str, int] | None = None,
) -> str:
    """Returns the task that is furthest behind its share of the steps.

    Equal weights make the tasks take turns in the order of `weights`. The
    answer depends on the counts alone, so a resumed run goes on in order.

    Args:
        steps: how many steps each task has done.
        weights: share of each task; only their ratios matter.
        since: each task's steps when it got these weights; 0 if absent. What
            was done under others is not made up for.
    """
    since = since or {}

    def behind(name: str) -> float:
        return (steps[name] - since.get(name, 0) + 1) / weights[name]

    return min(weights, key=behind)
