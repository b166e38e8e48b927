"""Ends a fork with the process that made it, however that one ends."""

from __future__ import annotations

import ctypes
import os
import signal

_PR_SET_PDEATHSIG = 1  # linux/prctl.h

_libc = ctypes.CDLL(None)


def die_with_parent(parent: int) -> None:
    """Has the kernel kill this process when its parent is gone.

    Args:
        parent: the process that forked; it may be gone already.
    """
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)
