"""What the C library does with memory that is freed."""

from __future__ import annotations

import ctypes
import os

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
    if os.name != "posix":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return
    for setting, value in _SETTINGS.items():
        mallopt(setting, value)
