"""What the C library does with memory that is freed."""

from __future__ import annotations

import ctypes
import os
from typing import Any

# Settings of the GNU C library's mallopt, by their numbers in malloc.h.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -2, -3, -8
_SETTINGS = {
    # ours: free memory that is kept, more than any process here frees a step.
    _TRIM_THRESHOLD: 1 << 30,
    _TOP_PAD: 64 << 20,  # ours: asked for at once
    _MMAP_THRESHOLD: 32 << 20,  # the largest block that can be kept
    # ours: an arena keeps its own, and threads that come and go leave it.
    _ARENA_MAX: 2,
}


def keep_freed_memory() -> None:
    """Makes this process use again what it frees.

    Where the same large arrays come and go all the time, giving their pages
    back to the system in between is a good part of the work: a fifth of a
    clip's masks, up to a third of an exchange with the store. Call it early;
    with another C library than GNU's it does nothing.
    """
    mallopt = _c_function("mallopt")
    if mallopt is not None:
        for setting, value in _SETTINGS.items():
            mallopt(setting, value)


def give_back_freed_memory() -> None:
    """Gives the pages of freed memory back to the system.

    For after work that comes now and then and takes other sizes than what
    goes on all the time: what it leaves between blocks in use is never used
    again as a whole, and the process grows. With another C library than
    GNU's it does nothing.
    """
    malloc_trim = _c_function("malloc_trim")
    if malloc_trim is not None:
        malloc_trim(0)


def _c_function(name: str) -> Any:
    """Returns a function of the C library, or None where it has none."""
    if os.name != "posix":
        return None
    return getattr(ctypes.CDLL(None), name, None)
