"""Reads pictures over a network: many at once, ahead of when they are needed.

What is read ahead is kept, up to a bound, until others push it out; what has
been pushed out is read again. So the bound changes how long it takes, and
never what comes out.
"""

from __future__ import annotations

import collections
from collections.abc import Callable
from concurrent import futures
import contextlib
import threading

import numpy as np

NUM_AT_ONCE = 32  # ours
_MAX_BYTES = 2**28  # ours: kept of a source


class RemoteReads:
    """Pictures' bytes by number."""

    def __init__(
        self, read: Callable[[int], bytes], max_bytes: int = _MAX_BYTES
    ) -> None:
        """Reads nothing yet.

        Args:
            read: reads one, from many threads; raises an OSError.
            max_bytes: what is kept.
        """
        self._read_one = read
        self._max_bytes = max_bytes
        self._kept: collections.OrderedDict[int, bytes] = (
            collections.OrderedDict()
        )
        self._num_bytes = 0
        self._lock = threading.Lock()
        self._pool: futures.ThreadPoolExecutor | None = None

    def read(self, number: int) -> bytes:
        """Returns a picture's bytes.

        Raises:
            OSError: it cannot be read.
        """
        with self._lock:
            found = self._kept.get(number)
        if found is None:
            found = self._read_one(number)
            self._keep(number, found)
        return found

    def read_ahead(self, numbers: np.ndarray) -> None:
        """Reads pictures that are not kept; int64 [n].

        One that cannot be read is for `read` to say so.
        """
        with self._lock:
            if self._pool is None:
                self._pool = futures.ThreadPoolExecutor(
                    NUM_AT_ONCE, thread_name_prefix="remote_reads"
                )
        list(self._pool.map(self._try, numbers.tolist()))

    def _try(self, number: int) -> None:
        with contextlib.suppress(OSError):
            self.read(number)

    def _keep(self, number: int, contents: bytes) -> None:
        with self._lock:
            if number in self._kept:
                return
            self._kept[number] = contents
            self._num_bytes += len(contents)
            while self._num_bytes > self._max_bytes:
                _, oldest = self._kept.popitem(last=False)
                self._num_bytes -= len(oldest)
