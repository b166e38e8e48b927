"""A function over many items, in worker processes that may die.

A decoder that crashes takes its process along. The item it was at is
reported; the others go on, in a new process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
import concurrent.futures
import multiprocessing
import os
from typing import Any

import pebble


class CrashedError(RuntimeError):
    """An item ended the process that worked on it."""


def local_map(
    function: Callable[[Any], Any],
    items: Sequence[Any],
    workers: int | None = None,
    prepare: Callable[[], None] | None = None,
) -> Iterator[tuple[int, Any]]:
    """Calls a function with every item, several at a time.

    Args:
        function: to be called in other processes, so of a module's top level.
        items: in the order in which they are begun.
        workers: processes; None takes one per core.
        prepare: is called first in each process.

    Yields:
        An item's index and its result, as results come; an exception where
        there is none: the function's own, or a `CrashedError`.
    """
    pool = pebble.ProcessPool(
        min(workers or os.cpu_count() or 1, max(len(items), 1)),
        initializer=prepare,
        # Forking a process that uses OpenCV's threads can hang.
        context=multiprocessing.get_context("spawn"),
    )
    try:
        futures: dict[concurrent.futures.Future, int] = {
            pool.schedule(function, [item]): index
            for index, item in enumerate(items)
        }
        for future in concurrent.futures.as_completed(futures):
            yield futures[future], _outcome(future)
    finally:
        pool.stop()  # after an interrupt, items that are not done
        pool.join()


def _outcome(future: concurrent.futures.Future) -> Any:
    try:
        return future.result()
    except pebble.ProcessExpired:
        return CrashedError("crashed the process that worked on it")
    except Exception as error:
        return error
