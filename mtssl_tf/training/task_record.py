"""What one task did lately, as the health watch looks at it."""

from __future__ import annotations

import collections
from collections.abc import Mapping
import math
import statistics

from mtssl_tf.reports import metrics_record
from mtssl_tf.tasks import base

# ours: of a task's own steps. One step's loss jumps about; a median of this
# many does not follow a few bad batches.
RECENT = 20
_COLLAPSE_STEPS = 50  # ours: an untrained trunk's embeddings are near alike
COLLAPSE_AFTER = 100  # ours
# A task whose loss is above this share of a blind guess's has learned nothing.
_AT_CHANCE = 0.98  # ours
STUCK_MEAN = 100  # ours: steps whose mean is looked at
# ours: own steps after which a task is stuck whose loss does not even move,
# and after which any task is that does no better than a guess. The slowest
# healthy one, trained alone, does so after 900.
_STILL_AFTER = 200
_STUCK_AFTER = 1000
# ours: own steps at the start, with which the last ones are compared.
_FIRST = 50
# ours: the predictions of whatever learns come apart, long before they are
# right, and its loss jumps about the more: six times as much as at first, in
# the slowest task after 100 steps, by 0.016 of a blind guess's.
_STILL_SPREAD = 2.0
_NO_SPREAD = 0.002
# ours: of a blind guess's loss. One that jumps about as much by itself, with
# the pictures of a batch (seen: 0.2), says nothing by it.
_RESTLESS = 0.05
_SURE = 3.0  # ours: standard errors


class TaskRecord:
    """What one task did lately."""

    def __init__(self, task: base.Task, is_resumed: bool) -> None:
        self.task = task
        self._is_resumed = is_resumed
        self._first_losses: list[float] = []
        self.chance = task.chance()[metrics_record.LOSS]
        self.rate = task.config.learning_rate
        self.first_gradient = 0.0
        self._num_steps = 0
        self._looked_at = 0
        self._beat_chance_at = 0
        self._losses: collections.deque[float] = collections.deque(
            maxlen=STUCK_MEAN
        )
        # Steps of all tasks, at each of this one's.
        self._times: collections.deque[int] = collections.deque(
            maxlen=2 * STUCK_MEAN
        )
        self._gradients: collections.deque[float] = collections.deque(
            maxlen=RECENT
        )
        self._values: collections.deque[Mapping[str, float]] = (
            collections.deque(maxlen=STUCK_MEAN)
        )

    def add(
        self,
        values: Mapping[str, float],
        gradient_norm: float | None,
        num_steps: int,
        now: int,
    ) -> None:
        self._num_steps += num_steps
        self._times.extend([now] * num_steps)
        # A mean over several steps counts as that many.
        losses = [values[metrics_record.LOSS]] * num_steps
        self._losses.extend(losses)
        if len(self._first_losses) < _FIRST:
            self._first_losses.extend(losses)
        self._values.extend([values] * num_steps)
        if gradient_norm is not None:
            self._gradients.extend([gradient_norm] * num_steps)
            if self._num_steps <= RECENT:
                self.first_gradient = statistics.median(self._gradients)

    def recent_loss(self) -> float | None:
        """Returns a median; None where there are too few steps."""
        if len(self._losses) < RECENT:
            return None
        last = range(-RECENT, 0)
        return statistics.median(self._losses[index] for index in last)

    def recent_gradient(self) -> float | None:
        """Returns a median norm; None where there are too few steps."""
        if len(self._gradients) < RECENT:
            return None
        return statistics.median(self._gradients)

    def recent_values(self) -> dict[str, float] | None:
        """Returns means; None where there are too few steps."""
        if self._num_steps < COLLAPSE_AFTER:
            return None
        last = list(self._values)[-_COLLAPSE_STEPS:]
        return {
            name: statistics.fmean(values[name] for values in last)
            for name in last[-1]
        }

    def is_progress_due(self) -> bool:
        """Returns whether to look at progress: now and then, not at once."""
        since = self._num_steps - self._looked_at
        if self._num_steps < _STILL_AFTER or since < RECENT:
            return False
        self._looked_at = self._num_steps
        return True

    def loss_if_stuck(self) -> float | None:
        """Returns the mean loss of a task that does not learn, or None."""
        mean = statistics.fmean(self._losses)
        if mean <= _AT_CHANCE * self.chance or self._beats_chance():
            self._beat_chance_at = self._num_steps
            return None
        is_new = not self._is_resumed and not self._beat_chance_at
        is_late = self._num_steps - self._beat_chance_at >= _STUCK_AFTER
        return mean if is_late or (is_new and self._is_still()) else None

    def _is_still(self) -> bool:
        """Returns whether the loss is and varies as in the first steps."""
        now, first = list(self._losses), self._first_losses
        if statistics.stdev(first) > _RESTLESS * self.chance:
            return False
        moved = abs(statistics.fmean(now) - statistics.fmean(first))
        error = math.hypot(_standard_error(first), _standard_error(now))
        spread = max(
            _STILL_SPREAD * statistics.stdev(first), _NO_SPREAD * self.chance
        )
        return moved <= _SURE * error and statistics.stdev(now) <= spread

    def _beats_chance(self) -> bool:
        """Returns whether a metric beats a blind guess's, and surely so."""
        for name, chance in self.task.chance().items():
            values = [
                values[name]
                for values in self._values
                if not math.isnan(values.get(name, math.nan))
            ]
            if name == metrics_record.LOSS or len(values) < 2:
                continue
            ahead = statistics.fmean(values) - chance
            if name == self.task.words.measure:  # less is better
                ahead = -ahead
            if ahead > _SURE * _standard_error(values):
                return True
        return False

    def when(self, steps_ago: int) -> int:
        """Returns the steps of all tasks before so many of this one's.

        Zero where this task has not done as many.
        """
        if len(self._times) <= steps_ago:
            return 0
        return self._times[-1 - steps_ago]

    def excess(self) -> float:
        """Returns how far above a blind guess's the last loss is."""
        if not self._losses:
            return 0.0
        return self._losses[-1] / self.chance


def _standard_error(values: list[float]) -> float:
    """Returns that of the values' mean."""
    return statistics.stdev(values) / math.sqrt(len(values))
