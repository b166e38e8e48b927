"""How many cores there are for this process."""

from __future__ import annotations

import os


def count() -> int:
    """Returns how many it may use: a scheduler may have left it few of all."""
    return len(os.sched_getaffinity(0))
