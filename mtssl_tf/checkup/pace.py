"""How long a step of each task takes on this machine, and what it needs.

Steps are real ones, of the task's own batches, as many as fit into the time.
Where a whole batch is too much for that a part of it is timed; what there is
no time for is estimated by its FLOPs.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
import dataclasses
import time
from typing import Any

import numpy as np
import tensorflow as tf

from mtssl_tf import config as config_lib
from mtssl_tf import train_settings
from mtssl_tf.data import skipped as skipped_lib
from mtssl_tf.data import source as source_lib
from mtssl_tf.process import plain_graphs
from mtssl_tf.training import batches
from mtssl_tf.training import dry_run
from mtssl_tf.training import out_of_memory
from mtssl_tf.training import pipelines
from mtssl_tf.training import run
from mtssl_tf.training import step
from mtssl_tf.training import step_in_parts

_MIN_STEPS, _MAX_STEPS = 2, 20  # ours: that are timed
_TIMED_S = 1.5  # ours: for one task's steps
# ours: of one step on a CPU, which does some 1e11 a second.
_CPU_FLOPS = 2e11
_MIN_PICTURES = 2  # some tasks compare those of a batch with each other


@dataclasses.dataclass(frozen=True)
class TaskPace:
    """Of one task.

    Attributes:
        cost: of a step, counted.
        step_s: seconds a step, data included.
        basis: what `step_s` is of, for people.
    """

    cost: dry_run.TaskCost
    step_s: float
    basis: str


class OneFrame:
    """A source of one frame over and over, in which nothing moves.

    For the pace of tasks that learn from clips: labels are made once, beside
    training, and kept; to make them here would take longer than all else.
    """

    description = "one frame"
    names = ("frame",)

    def __init__(self, frame: np.ndarray) -> None:
        """Takes uint8 [H, W, 3] RGB."""
        self._frame = frame

    def __len__(self) -> int:
        return 1

    def subset(self, numbers: np.ndarray) -> OneFrame:
        """Returns itself."""
        return self

    @plain_graphs.traces_as_written
    def stream(
        self,
        positions: tf.data.Dataset,
        seed: int,
        skipped: skipped_lib.SkippedExamples,
        smallest_side_px: int | None = None,
        num_frames: int = 1,
    ) -> tf.data.Dataset:
        """Returns the frame at each position, as `VideoSource` does."""

        def example(position: tf.Tensor) -> dict[str, tf.Tensor]:
            image = tf.constant(self._frame)
            frames = {"frames": tf.stack([image] * num_frames)}
            return {
                "image": image,
                "moving": tf.zeros([*self._frame.shape[:2], 1], tf.uint8),
                "position": position,
                **(frames if num_frames > 1 else {}),
            }

        return positions.map(example)

    def close(self) -> None:
        """Does nothing."""

    def raise_failure(self) -> None:
        """Does nothing."""


def measure(
    config: config_lib.RunConfig,
    sources: Mapping[str, source_lib.Source],
    max_s: float,
) -> dict[str, TaskPace]:
    """Times steps of each task until there is no time left.

    Args:
        config: the settings.
        sources: 'images' and 'videos', those that the tasks need.
        max_s: after which no task is begun; the first one always is.

    Raises:
        OutOfMemoryError: a step does not fit into memory.
        SourceError: too few examples can be used.
    """
    end_s = time.monotonic() + max_s
    tasks = config.build_tasks()
    trunk, states = run.build_states(config, tasks)
    costs = {
        name: dry_run.task_cost(state, trunk, config.train)
        for name, state in states.items()
    }
    timed: dict[str, TaskPace] = {}
    for name in sorted(costs, key=lambda name: costs[name].flops):
        if timed and time.monotonic() > end_s:
            break
        state = states[name]
        source = sources[state.task.source]
        with out_of_memory.explained(config, name):
            timed[name] = _time(state, source, costs[name], config)
    return {
        name: timed.get(name) or _estimate(costs[name], timed)
        for name in config.tasks
    }


def _estimate(
    cost: dry_run.TaskCost, timed: Mapping[str, TaskPace]
) -> TaskPace:
    flops = sum(each.cost.flops for each in timed.values())
    seconds = sum(each.step_s for each in timed.values())
    return TaskPace(
        cost, cost.flops * seconds / flops, "by its FLOPs, from those timed"
    )


def _time(
    state: step.TaskState,
    source: source_lib.Source,
    cost: dry_run.TaskCost,
    config: config_lib.RunConfig,
) -> TaskPace:
    whole = state.task.config.batch_size
    part = whole
    if not tf.config.list_logical_devices("GPU"):
        patches = state.task.config.patches_per_picture
        pictures = int(whole // patches * min(1.0, _CPU_FLOPS / cost.flops))
        part = min(whole, max(pictures, _MIN_PICTURES) * patches)
    options = dataclasses.replace(state.task.config, batch_size=part)
    task = type(state.task)(options, config.contract)
    train = config.train
    if part < whole:
        train = dataclasses.replace(train, accumulate=1)
    seconds, count = _time_steps(
        dataclasses.replace(state, task=task), source, train
    )
    basis = f"{count} steps timed"
    if part < whole:
        basis += f" on {part} of {whole} examples"
    return TaskPace(cost, seconds * whole / part, basis)


def _time_steps(
    state: step.TaskState,
    source: source_lib.Source,
    train: train_settings.TrainConfig,
) -> tuple[float, int]:
    """Returns seconds a step, and how many were timed."""
    made = _batches(state, source, train.seed)
    try:
        taken = steps_taken(state, made, tf.distribute.get_strategy(), train)
        next(taken)  # compiles it
        total = 0.0
        for count, seconds in enumerate(taken, start=1):
            total += seconds
            is_enough = count >= _MIN_STEPS and total > _TIMED_S
            if is_enough or count == _MAX_STEPS:
                break
        return total / count, count
    finally:
        made.close()


def steps_taken(
    state: step.TaskState,
    made: Iterator[Any],
    strategy: tf.distribute.Strategy,
    train: train_settings.TrainConfig,
) -> Iterator[float]:
    """Yields the seconds of one step after another, data included.

    Args:
        state: of the task.
        made: its batches.
        strategy: that the state was built under.
        train: how steps are taken.
    """
    take = step_in_parts.build_step_function(strategy, state, train).take
    while True:
        start = time.monotonic()
        np.asarray(take(next(made)).numbers)
        yield time.monotonic() - start


def _batches(
    state: step.TaskState, source: source_lib.Source, seed: int
) -> Generator[Any, None, None]:
    dataset = batches.build_batches(
        state.task, source, seed, skipped_lib.SkippedExamples()
    )
    return source_lib.iterate(dataset, source, pipelines.only_gpu())
