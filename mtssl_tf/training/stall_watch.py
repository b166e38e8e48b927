"""Says when a batch does not come."""

from __future__ import annotations

from collections.abc import Callable
import threading
import time

# ours: a batch after the first takes seconds; labelling a clip, a minute.
_STALLED_AFTER_S = 180.0
_LOOK_EVERY_S = 1.0


class StallWatch:
    """A thread that looks how long training has waited for a task's data.

    Who waits cannot say that he does.
    """

    def __init__(self, say: Callable[[int, str, str], None]) -> None:
        """Starts to look.

        Args:
            say: gets step, task and message, in another thread, while this
                one waits.
        """
        self._say = say
        self._waiting: tuple[float, int, str] | None = None
        self._is_over = threading.Event()
        threading.Thread(target=self._look, name="stall", daemon=True).start()

    def begin(self, step: int, task: str) -> None:
        """Says that the wait for a task's batch begins."""
        self._waiting = (time.monotonic(), step, task)

    def end(self) -> None:
        """Says that the wait is over."""
        self._waiting = None

    def close(self) -> None:
        """Ends the thread."""
        self._is_over.set()

    def _look(self) -> None:
        said = None
        while not self._is_over.wait(_LOOK_EVERY_S):
            waiting = self._waiting
            if waiting is None or waiting == said:
                continue
            start, step, task = waiting
            if time.monotonic() - start > _STALLED_AFTER_S:
                said = waiting
                self._say(
                    step,
                    task,
                    f"No batch of {task} has come for "
                    f"{_STALLED_AFTER_S:.0f} s: a worker that makes them has "
                    "died or hangs, or the disk does. Stop the run (Ctrl-C "
                    "twice) and run the same command again; if this comes "
                    "again, look for the last file that the log names.",
                )
