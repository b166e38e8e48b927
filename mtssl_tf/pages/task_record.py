"""What a run's files say of one task: losses over time, and their chance.

Files may be of any version and torn: what is not as it should be is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
import dataclasses
import math
from typing import Any, TypeGuard

from mtssl_tf.reports import metrics_record

# ours: of the training lines, whose mean is what a task has come to.
_LAST_SHARE = 0.1
_MIN_LAST = 3
_MAX = 3.4e38  # float32's: what is trained writes no larger number
_MIN_CHANCE = 1e-6  # ours: of no guess is less expected
_SPLITS = (metrics_record.TRAIN, metrics_record.HELD_OUT)


@dataclasses.dataclass(frozen=True)
class Point:
    """A line of `metrics.jsonl`.

    Attributes:
        step: of all tasks.
        loss: mean over some examples.
        metrics: of the task, by name.
    """

    step: int
    loss: float
    metrics: Mapping[str, float]


@dataclasses.dataclass(frozen=True)
class Measure:
    """One number of a task over time; less is better.

    Attributes:
        name: 'loss', or a metric's.
        chance: what a blind guess gets.
        training: (step of all tasks, value) on training examples.
        held_out: the same on held-out ones.
    """

    name: str
    chance: float
    training: tuple[tuple[int, float], ...]
    held_out: tuple[tuple[int, float], ...]

    def last_training(self) -> float:
        """Returns the mean of the last training values; NaN for none."""
        count = max(_MIN_LAST, math.ceil(_LAST_SHARE * len(self.training)))
        values = [value for _, value in self.training[-count:]]
        return sum(values) / len(values) if values else math.nan


@dataclasses.dataclass(frozen=True)
class TaskRecord:
    """One task of a run.

    Attributes:
        name: of the task.
        num_steps: its own steps.
        chance: loss of a blind guess.
        metrics_chance: what a blind guess gets, by metric.
        training: lines about training examples, the first one first.
        held_out: lines about examples that it was never trained on.
        seconds: that its steps took.
    """

    name: str
    num_steps: int
    chance: float
    metrics_chance: Mapping[str, float]
    training: tuple[Point, ...]
    held_out: tuple[Point, ...]
    seconds: float

    def measure(self, metric: str = "") -> Measure:
        """Returns a metric over time, or the loss where there is none such.

        Args:
            metric: by name, with a blind guess's value above 0; '' is the
                loss.
        """
        chance = self.metrics_chance.get(metric, 0.0)
        training, held_out = (
            tuple(
                (point.step, point.metrics[metric])
                for point in points
                if metric in point.metrics
            )
            for points in (self.training, self.held_out)
        )
        if chance >= _MIN_CHANCE and (training or held_out):
            return Measure(metric, chance, training, held_out)
        return Measure(
            metrics_record.LOSS,
            self.chance,
            tuple((point.step, point.loss) for point in self.training),
            tuple((point.step, point.loss) for point in self.held_out),
        )


def load_task_records(
    lines: Iterable[Mapping[str, Any]],
) -> dict[str, TaskRecord]:
    """Returns the tasks that lines of `metrics.jsonl` speak of, by name."""
    by_task: dict[str, list[Mapping[str, Any]]] = {}
    for line in lines:
        if _is_whole(line):
            by_task.setdefault(line["task"], []).append(line)
    return {name: _record(name, own) for name, own in by_task.items()}


def numbers(values: Any) -> dict[str, float]:
    """Returns those entries of a mapping that are finite numbers."""
    if not isinstance(values, Mapping):
        return {}
    return {key: value for key, value in values.items() if is_number(value)}


def is_number(value: Any) -> TypeGuard[float]:
    """Returns whether a value of JSON is a number that training writes."""
    is_real = isinstance(value, (int, float)) and not isinstance(value, bool)
    return is_real and abs(value) <= _MAX


def _is_whole(line: Mapping[str, Any]) -> bool:
    return (
        isinstance(line.get("task"), str)
        and line.get("split") in _SPLITS
        and is_number(line.get(metrics_record.LOSS))
        and is_number(line.get("chance"))
        and line["chance"] >= _MIN_CHANCE
    )


def _record(name: str, lines: list[Mapping[str, Any]]) -> TaskRecord:
    points: dict[str, list[Point]] = {split: [] for split in _SPLITS}
    for line in lines:
        values = numbers(line.get("metrics"))
        points[line["split"]].append(Point(line["step"], line["loss"], values))
    last = lines[-1]
    num_steps = last.get("task_step")
    walls = [line.get("wall_s") for line in lines]
    return TaskRecord(
        name,
        num_steps if isinstance(num_steps, int) else 0,
        last["chance"],
        numbers(last.get("metrics_chance")),
        tuple(points[metrics_record.TRAIN]),
        tuple(points[metrics_record.HELD_OUT]),
        sum(wall for wall in walls if is_number(wall)),
    )
