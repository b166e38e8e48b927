"""Whose turn it is: one head is active a step (paper, sec. 3.1)."""

from __future__ import annotations

from collections.abc import Mapping

from mtssl_tf.weighting import weighing as weighing_lib


def next_task(
    steps: Mapping[str, int],
    weights: Mapping[str, float],
    since: Mapping[str, float] | None = None,
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


def next_turn(
    steps: Mapping[str, int],
    weights: Mapping[str, float],
    since: Mapping[str, float],
    weighing: weighing_lib.Weighing | None,
) -> str:
    """Returns whose turn it is: by shares that move, where there are any.

    Args:
        steps: how many steps each task has done.
        weights: of each task, as `next_task` takes them.
        since: each task's steps when it got these weights.
        weighing: moves the shares; None where they are the weights'.
    """
    if weighing is None:
        return next_task(steps, weights, since)
    return next_task(steps, weighing.shares, weighing.since)


def steps_after(num_steps: int, weights: Mapping[str, float]) -> dict[str, int]:
    """Returns the steps of each task after so many that `next_task` chose.

    No task is ever behind its share by a whole step (it is the method of
    D'Hondt), so that only the last turns have to be gone through.
    """
    total = sum(weights.values())
    steps = {name: int(num_steps * w / total) for name, w in weights.items()}
    while sum(steps.values()) < num_steps:
        steps[next_task(steps, weights)] += 1
    return steps
