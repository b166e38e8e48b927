"""How many steps fit into the hours that a user has.

Steps are counted, not seconds: a run that is killed and goes on ends where it
would have ended. So their number is fixed once, when the pace is known, and
the pace is kept with the run. It is that of whole seconds between steps, data
and all; what is judged, drawn and saved later comes on top.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
import json
import pathlib
import time
from typing import Any

from absl import logging

from mtssl_tf.files import json_file
from mtssl_tf.process import atomic_file

PACE_FILE = "pace.json"
_PACE = "seconds_per_step"
# ours: of a task's first steps one is built, and one finds memory.
_NUM_FIRST = 2
# ours: many rounds of all tasks, and a while, or a start's unrest counts.
_MIN_STEPS = 50
_MIN_SHARE = 0.02  # of the hours
_PACES = (1e-6, 1e6)  # ours: seconds that a step may take


class TimeBudget:
    """Knows the last step of a run, once it can."""

    def __init__(
        self,
        workdir: pathlib.Path,
        num_steps: int,
        hours: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Reads the pace that an earlier start measured.

        Args:
            workdir: the run directory.
            num_steps: in all, where no time is given.
            hours: to train for; 0 has `num_steps` decide.
            clock: seconds.
        """
        self._path = workdir / PACE_FILE
        self._num_steps = num_steps
        self._seconds = hours * 3600.0
        self._clock = clock
        self._began: tuple[int, float] | None = None
        self._pace: float | None = None
        if self._seconds and self._path.is_file():
            self._pace = _load_pace(self._path)

    @property
    def num_steps(self) -> int | None:
        """Steps in all; None while the pace is being measured."""
        if not self._seconds:
            return self._num_steps
        if self._pace is None:
            return None
        return max(1, int(self._seconds / self._pace))

    def after_step(self, steps: Mapping[str, int]) -> bool:
        """Measures the pace; returns whether it has just become known.

        Args:
            steps: each task's so far.
        """
        if self.num_steps is not None or min(steps.values()) < _NUM_FIRST:
            return False
        now, step = self._clock(), sum(steps.values())
        if self._began is None:
            self._began = step, now
        num_timed, seconds = step - self._began[0], now - self._began[1]
        if num_timed < _MIN_STEPS or seconds < _MIN_SHARE * self._seconds:
            return False
        self._pace = seconds / num_timed
        atomic_file.write_text(self._path, json.dumps({_PACE: self._pace}))
        logging.info(
            "A step takes %.3g s: %d steps in %g hours.",
            self._pace,
            self.num_steps,
            self._seconds / 3600.0,
        )
        return True


def _load_pace(path: pathlib.Path) -> float:
    remedy = "Remove it: the pace is measured again."
    pace: Any = json_file.load_object(path, remedy).get(_PACE)
    is_number = isinstance(pace, int | float) and not isinstance(pace, bool)
    if not is_number or not _PACES[0] <= pace <= _PACES[1]:
        raise ValueError(
            f"{path} has {_PACE} {pace!r}, expected a number from {_PACES[0]} "
            f"to {_PACES[1]}. {remedy}"
        )
    return float(pace)
