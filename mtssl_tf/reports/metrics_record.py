"""What is told of one task at one step: the form of a line of `metrics.jsonl`.

Trainer and workers make records, the run's log writes them: one form, whoever
trained the step.
"""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses
from typing import Any

LOSS = "loss"
GPU_HOURS = "gpu_hours"
TRAIN, HELD_OUT = "train", "held_out"  # splits
MIXES = "mixing_weights"


def is_judgement(line: Mapping[str, Any]) -> bool:
    """Returns whether a line, perhaps of other hands, is of held-out data."""
    return (
        line.get("split") == HELD_OUT
        and isinstance(line.get("task"), str)
        and line.keys() >= {LOSS, "chance"}
    )


@dataclasses.dataclass(frozen=True)
class MetricsRecord:
    """Means over some examples of one task.

    Attributes:
        task: its name.
        task_step: its steps so far.
        split: 'train' or 'held_out'.
        values: `loss` and the task's metrics.
        rates: speed and time; empty where nothing was timed.
        mixing_weights: the task's mix, N weights; None where it has none.
        gpu_hours: that the run has cost so far; None where that is unknown.
    """

    task: str
    task_step: int
    split: str
    values: Mapping[str, float]
    rates: Mapping[str, float] = dataclasses.field(default_factory=dict)
    mixing_weights: list[float] | None = None
    gpu_hours: float | None = None

    def line(self, step: int, chance: Mapping[str, float]) -> dict[str, Any]:
        """Returns the line of `metrics.jsonl`.

        Args:
            step: of all tasks.
            chance: what a blind guess gets, by the names of `values`.
        """
        line: dict[str, Any] = {
            "step": step,
            "task": self.task,
            "task_step": self.task_step,
            "split": self.split,
            "loss": self.values[LOSS],
            "chance": chance[LOSS],
            "metrics": _without_loss(self.values),
            "metrics_chance": _without_loss(chance),
            **self.rates,
        }
        if self.mixing_weights is not None:
            line[MIXES] = {self.task: self.mixing_weights}
            line["units_off"] = self.mixing_weights.count(0.0)
        if self.gpu_hours is not None:
            line[GPU_HOURS] = self.gpu_hours
        return line


def _without_loss(values: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in values.items() if name != LOSS}
