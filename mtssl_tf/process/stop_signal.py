"""Signals as a flag, so that a run saves before it stops."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import contextlib
import functools
import pathlib
import signal
import sys
import threading
import types
from typing import Any

from mtssl_tf.process import end_signals


class _CutShort(BaseException):
    """Ends `run_unless_stopped`, past every `except Exception`."""


def _show_unless_cut_short(show: Callable[[Any], Any], lost: Any) -> None:
    """Shows what a destructor has lost, but for what `check` makes up for."""
    if lost.exc_type is not _CutShort:
        show(lost)


class StopSignal:
    """Notes the first of `end_signals.NUMBERS`; the second stops at once.

    Only the main thread may take signals: made in another one, it never asks
    for anything.

    Attributes:
        number: of the signal that came, or None.
    """

    def __init__(self, file: pathlib.Path | None = None) -> None:
        """Starts to listen.

        Args:
            file: asks for the end by being there, for who cannot signal this
                process, as a scheduler. One from before is removed.
        """
        self.number: int | None = None
        self._is_cut_short = False
        self._file = file
        self._listeners: list[Callable[[], None]] = []
        if file:
            file.unlink(missing_ok=True)
        self._before = {}
        if threading.current_thread() is threading.main_thread():
            for number in end_signals.heard():
                self._before[number] = signal.signal(number, self._note)

    @property
    def is_requested(self) -> bool:
        """Whether a signal or the file has come."""
        return self.number is not None or bool(
            self._file and self._file.exists()
        )

    def tell(self, listener: Callable[[], None]) -> None:
        """Calls `listener` when a signal comes, or now if one has come.

        It is called from the signal's handler, so between any two steps of
        the main thread.
        """
        self._listeners.append(listener)
        if self.number is not None:
            listener()

    @property
    def name(self) -> str:
        """What has come: a signal's name, or the file."""
        if self.number is None:
            return f"the file {self._file}"
        return signal.Signals(self.number).name

    @contextlib.contextmanager
    def nothing_to_lose(self, is_so: bool = True) -> Iterator[None]:
        """Lets a signal do meanwhile what it would do without this.

        For what takes long and has nothing to save yet: the first steps,
        while they are being built.

        Args:
            is_so: whether there is nothing to lose.
        """
        if not is_so or self.number is not None:
            yield
            return
        for number, handler in self._before.items():
            signal.signal(number, handler or signal.SIG_DFL)
        try:
            yield
        finally:
            for number in self._before:
                signal.signal(number, self._note)

    def run_unless_stopped(self, work: Callable[[], None]) -> None:
        """Calls `work`, which a signal cuts short, or keeps from beginning.

        For what takes long and can be done again, as judging.
        """
        if self.is_requested:
            return
        show = sys.unraisablehook
        sys.unraisablehook = functools.partial(_show_unless_cut_short, show)
        try:
            self._is_cut_short = True
            try:
                work()
            finally:
                self._is_cut_short = False
        except _CutShort:
            return
        finally:
            sys.unraisablehook = show

    def check(self) -> None:
        """Cuts the work of `run_unless_stopped` short where a signal did not.

        For such work to call now and then: what a signal raises while Python
        collects garbage is raised in a destructor, which loses it.
        """
        if self._is_cut_short and self.number is not None:
            raise _CutShort

    def close(self) -> None:
        """Gives signals back to who had them."""
        for number, handler in self._before.items():
            # None is one that Python does not know.
            signal.signal(number, handler or signal.SIG_DFL)

    def hand_back(self) -> None:
        """Gives signals back to who had them, with the one that came."""
        self.close()
        if self.number is not None:
            signal.raise_signal(self.number)

    def _note(self, number: int, frame: types.FrameType | None) -> None:
        del frame
        self.number = number
        for each in self._before:
            signal.signal(each, signal.SIG_DFL)
        for listener in self._listeners:
            listener()
        if self._is_cut_short:
            raise _CutShort
