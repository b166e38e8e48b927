"""Threads that make in advance what a stream is going to need."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
import threading
from typing import Generic, TypeVar

from absl import logging

from mtssl_tf.motion import labeller
from mtssl_tf.process import cores

_MAX_AHEAD = 4096  # ours: positions
_MAX_BEHIND = 512  # ours: positions are read nearly in their order
_POLL_S = 0.1  # ours
_JOIN_S = 5.0  # ours

Need = TypeVar("Need", bound=Hashable)


class WorkAhead(Generic[Need]):
    """Goes through a stream's needs in order, ahead of who reads it.

    What a position needs is held from when it is planned until it was read,
    and only planned while there is room for it.
    """

    def __init__(
        self,
        needs: Callable[[], Iterator[tuple[int, Need]]],
        make: Callable[[Need], None],
        hold: Callable[[Need], None],
        release: Callable[[Need], None],
        has_room: Callable[[], bool],
    ) -> None:
        """Starts nothing: that is for the first `note`.

        Args:
            needs: begins to yield ascending positions and what they need.
            make: makes one, if it is not there.
            hold: keeps one from being removed.
            release: takes a `hold` back.
            has_room: whether one more can be held.
        """
        self._begin, self._make = needs, make
        self._hold, self._release = hold, release
        self._has_room = has_room
        self._needs: Iterator[tuple[int, Need]] | None = None
        self._last_use: dict[Need, int] = {}
        self._position = self._swept = -1
        self._is_planned = False
        self._lock = threading.Lock()
        self._plan_lock = threading.Lock()
        self._stopped = threading.Event()
        self._threads: list[threading.Thread] = []

    def note(self, position: int) -> None:
        """Takes note that a position is being read; starts with the first."""
        with self._lock:
            self._position = max(self._position, position)
            if not self._threads and not self._stopped.is_set():
                self._threads = [
                    threading.Thread(target=self._work, daemon=True)
                    for _ in range(max(cores.count() // 2, 1))
                ]
                for thread in self._threads:
                    thread.start()
            if self._position - self._swept >= _MAX_BEHIND // 8:
                self._sweep()

    def stop(self) -> None:
        """Ends the threads, once each has made what it is at."""
        self._stopped.set()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(_JOIN_S)
        with self._lock:
            self._release_up_to(max(self._last_use.values(), default=-1))

    def _sweep(self) -> None:
        self._swept = self._position
        last = max(self._last_use.values(), default=-1)
        is_done = self._is_planned and self._position >= last
        self._release_up_to(last if is_done else self._position - _MAX_BEHIND)

    def _release_up_to(self, position: int) -> None:
        past = [n for n, last in self._last_use.items() if last <= position]
        for need in past:
            del self._last_use[need]
            self._release(need)

    def _work(self) -> None:
        try:
            while (need := self._next_new()) is not None:
                self._make(need)
        except labeller.ClosedError:
            pass
        except OSError as error:
            # Whoever needs it at once meets the same, and ends by it.
            logging.warning("Working ahead has ended: %s", error)

    def _next_new(self) -> Need | None:
        """Returns what nobody has planned before, or None at the end."""
        with self._plan_lock:
            if self._needs is None:
                self._needs = self._begin()
            for position, need in self._needs:
                if not self._wait_for_turn(position, need):
                    return None
                with self._lock:
                    is_new = need not in self._last_use
                    if is_new:
                        self._hold(need)
                    self._last_use[need] = position
                if is_new:
                    return need
            self._is_planned = True
            return None

    def _wait_for_turn(self, position: int, need: Need) -> bool:
        """Waits until a position is near; returns False at the end."""
        while not self._stopped.is_set():
            is_near = position <= self._position + _MAX_AHEAD
            if is_near and (need in self._last_use or self._has_room()):
                return True
            self._stopped.wait(_POLL_S)
        return False
