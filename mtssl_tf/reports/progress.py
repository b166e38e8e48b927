"""The progress line: a bar on a terminal, a line now and then in a log file."""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import functools
import os
import sys
import time
from typing import Any

_INTERVAL_S = 0.1  # tqdm's own
_LOG_FILE_INTERVAL_S = 30.0  # ours
_FIGURES = "{n_fmt}/{total_fmt} {unit}, {remaining} left  {desc}"
_WITH_BAR = "{percentage:3.0f}%|{bar:10}| " + _FIGURES
# ours: tasks take turns and their steps last longer or less long.
_SMOOTHING = 0.05
_UNKNOWN_WIDTH = 80  # what terminals have that don't say


class ProgressLine:
    """One line: how far, how long still, and a text.

    It comes with the first `update`, and gives way to the text of `finish`.
    Where standard error takes no more, as a closed terminal or a full disk,
    there is none from then on: what is told of goes on.
    """

    def __init__(self, total: int | None, unit: str, initial: int = 0) -> None:
        """Takes the time from now on.

        Args:
            total: position at the end; None where `expect` is going to say.
            unit: what is counted, as in "steps".
            initial: position at the start.
        """
        self._is_unseen = False
        self._is_terminal = sys.stderr.isatty()
        self._rare = _RareLines()
        self._bar = _bar_class()(
            total=total,
            unit=unit,
            initial=initial,
            file=sys.stderr if self._is_terminal else self._rare,
            bar_format=self._format(total),
            smoothing=_SMOOTHING,
            miniters=1,
            delay=1e-9,  # nothing before the first update
            position=0,
            leave=False,
            disable=False,
            mininterval=_INTERVAL_S,
        )

    def _format(self, total: int | None) -> str:
        text = _WITH_BAR if self._is_terminal else _FIGURES
        # Of no end tqdm would say that no time is left.
        return text if total is not None else text.replace("{remaining}", "?")

    def is_due(self) -> bool:
        """Returns whether an `update` by now would be seen.

        For who has to wait for what the text says.
        """
        if self._is_unseen or not self._bar.is_due():
            return False
        return self._is_terminal or self._rare.is_due()

    def expect(self, total: int | None) -> None:
        """Takes another position for the end."""
        self._bar.total = total
        self._bar.bar_format = self._format(total)

    def update(self, position: int, text: str = "") -> None:
        """Shows how far it is, and `text` beside it.

        Lines that follow each other too fast for the eye are left out, in a
        log file those that follow one of the last 30 s.
        """
        with self._while_seen():
            is_still = position == self._bar.n
            self._bar.set_description_str(text, refresh=False)
            if self._is_terminal:
                self._bar.ncols = _terminal_width()
            self._bar.update(position - self._bar.n)
            if is_still:
                self._bar.refresh()

    def finish(self, text: str) -> None:
        """Puts `text` in the line's place, and goes to the next."""
        with self._while_seen():
            self._bar.close()
            print(text, file=sys.stderr, flush=True)

    @contextlib.contextmanager
    def _while_seen(self) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError):  # ValueError: the stream is closed
            self._is_unseen = True


@functools.cache
def _bar_class() -> type[Any]:
    """Returns tqdm's bar, which can say whether it is due.

    tqdm reads the environment when it is imported: a command clears it first.
    """
    import tqdm

    class Bar(tqdm.tqdm):
        # No thread beside those that TensorFlow forks with.
        monitor_interval = 0

        def is_due(self) -> bool:
            return self._time() - self.last_print_t >= self.mininterval

    return Bar


class _RareLines:
    """Standard error, where what is drawn over one line becomes lines."""

    def __init__(self) -> None:
        self._next_time = 0.0

    def is_due(self) -> bool:
        return time.monotonic() >= self._next_time

    def write(self, text: str) -> None:
        line = text.strip()
        if line and self.is_due():
            self._next_time = time.monotonic() + _LOG_FILE_INTERVAL_S
            print(line, file=sys.stderr)

    def flush(self) -> None:
        sys.stderr.flush()


def _terminal_width() -> int:
    """Returns the columns of standard error's terminal."""
    return os.get_terminal_size(sys.stderr.fileno()).columns or _UNKNOWN_WIDTH
