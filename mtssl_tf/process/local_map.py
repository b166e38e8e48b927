"""A function over many items, in worker processes that may die.

A decoder that crashes takes its process along. The item it was at is
reported; the others go on, in a new process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
import concurrent.futures
import ctypes
import multiprocessing
import os
import signal
from typing import Any

import pebble

from mtssl_tf.process import cores
from mtssl_tf.process import signal_mask

# What calls a function with every item, and yields an item's number and what
# came of it as it comes: `local_map`, or `cluster_map`.
MapAll = Callable[
    [Callable[[Any], Any], Sequence[Any]], Iterator[tuple[int, Any]]
]

_PR_SET_PDEATHSIG = 1  # of Linux's prctl.h


class CrashedError(RuntimeError):
    """An item ended the process that worked on it."""


def local_map(
    function: Callable[[Any], Any],
    items: Sequence[Any],
    workers: int | None = None,
) -> Iterator[tuple[int, Any]]:
    """Calls a function with every item, several at a time.

    Args:
        function: to be called in other processes, so of a module's top level.
        items: in the order in which they are begun.
        workers: processes; None takes one per core.

    Yields:
        An item's index and its result, as results come; an exception where
        there is none: the function's own, or a `CrashedError`.
    """
    pool = pebble.ProcessPool(
        min(workers or cores.count(), max(len(items), 1)),
        initializer=end_with_parent,
        initargs=[os.getpid()],
        # Forking a process that uses OpenCV's threads can hang.
        context=multiprocessing.get_context("spawn"),
    )
    try:
        # A terminal sends both to all of them; this process ends them.
        with signal_mask.blocked(signal.SIGINT, signal.SIGHUP):
            futures: dict[concurrent.futures.Future, int] = {
                pool.schedule(function, [item]): index
                for index, item in enumerate(items)
            }
        for future in concurrent.futures.as_completed(futures):
            yield futures[future], _outcome(future)
    finally:
        pool.stop()  # after an interrupt, items that are not done
        pool.join()


def end_with_parent(parent: int) -> None:
    """Has the kernel end this process once its parent is gone.

    A parent that is killed tells nobody, and its children would go on beside
    those of the same command started again. On another system than Linux it
    does nothing.

    Args:
        parent: its process id.
    """
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is None:
        return
    prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it was gone before
        os._exit(1)


def _outcome(future: concurrent.futures.Future) -> Any:
    try:
        return future.result()
    except pebble.ProcessExpired:
        return CrashedError("crashed the process that worked on it")
    except Exception as error:
        return error
