"""The progress line: it updates on a terminal, and is rare in a log file."""

from __future__ import annotations

import shutil
import sys
import time

_LOG_FILE_INTERVAL_S = 30.0


class ProgressLine:
    """Shows one line of text that replaces the one before."""

    def __init__(self) -> None:
        self._is_terminal = sys.stderr.isatty()
        self._next_time = 0.0

    def show(self, text: str) -> None:
        """Shows `text` now, or drops it where a log file had one lately."""
        if self._is_terminal:
            width = shutil.get_terminal_size().columns - 1
            sys.stderr.write("\r" + text[:width].ljust(width))
            sys.stderr.flush()
        elif time.monotonic() >= self._next_time:
            sys.stderr.write(text + "\n")
            sys.stderr.flush()
            self._next_time = time.monotonic() + _LOG_FILE_INTERVAL_S

    def finish(self, text: str) -> None:
        """Shows `text` as the last line, and goes to the next."""
        if self._is_terminal:
            self.show(text)
            sys.stderr.write("\n")
        else:
            sys.stderr.write(text + "\n")
        sys.stderr.flush()
