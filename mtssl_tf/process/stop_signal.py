"""Ctrl-C and SIGTERM as a flag, so that a run saves before it stops."""

from __future__ import annotations

import signal
import threading
import types

_NUMBERS = (signal.SIGINT, signal.SIGTERM)


class StopSignal:
    """Notes the first SIGINT or SIGTERM; the second one stops at once.

    Only the main thread may take signals: made in another one, it never asks
    for anything.

    Attributes:
        number: of the signal that came, or None.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self._before = {}
        if threading.current_thread() is threading.main_thread():
            for number in _NUMBERS:
                self._before[number] = signal.signal(number, self._note)

    @property
    def is_requested(self) -> bool:
        """Whether a signal has come."""
        return self.number is not None

    @property
    def name(self) -> str:
        """The signal's name."""
        return signal.Signals(self.number or 0).name

    def hand_back(self) -> None:
        """Gives signals back to who had them, with the one that came."""
        for number, handler in self._before.items():
            # None is one that Python does not know.
            signal.signal(number, handler or signal.SIG_DFL)
        if self.number is not None:
            signal.raise_signal(self.number)

    def _note(self, number: int, frame: types.FrameType | None) -> None:
        del frame
        self.number = number
        for each in _NUMBERS:
            signal.signal(each, signal.SIG_DFL)
