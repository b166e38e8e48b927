"""Ctrl-C and SIGTERM as a flag, so that a run saves before it stops."""

from __future__ import annotations

import signal
import types


class StopSignal:
    """Notes the first SIGINT or SIGTERM; the second one stops at once.

    Attributes:
        number: of the signal that came, or None.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._note)

    @property
    def is_requested(self) -> bool:
        """Whether a signal has come."""
        return self.number is not None

    @property
    def name(self) -> str:
        """The signal's name."""
        return signal.Signals(self.number or 0).name

    def _note(self, number: int, frame: types.FrameType | None) -> None:
        del frame
        self.number = number
        for each in (signal.SIGINT, signal.SIGTERM):
            signal.signal(each, signal.SIG_DFL)
