"""Batches that are made while the ones before them are used."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent import futures
from typing import TypeVar

_Argument = TypeVar("_Argument")
_Made = TypeVar("_Made")


def made_ahead(
    make: Callable[[_Argument], _Made], arguments: Iterable[_Argument]
) -> Iterator[_Made]:
    """Yields `make` of every argument, in order, the next one made ahead.

    Args:
        make: called in another thread, one call at a time.
        arguments: read one ahead, too.
    """
    with futures.ThreadPoolExecutor(1) as pool:
        pending: futures.Future[_Made] | None = None
        for argument in arguments:
            coming = pool.submit(make, argument)
            if pending is not None:
                yield pending.result()
            pending = coming
        if pending is not None:
            yield pending.result()
