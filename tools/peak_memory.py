"""What a call needs of memory at its peak, above what was held before it."""

from __future__ import annotations

from collections.abc import Callable
import pathlib
from typing import Any

_PROCESS = pathlib.Path("/proc/self")


def peak_bytes(call: Callable[[], Any]) -> int:
    """Returns the peak of a call's memory, on the GPU where there is one.

    Of the host it is resident memory, so have the process to yourself: what
    was freed earlier stays with it, and is used again.
    """
    import tensorflow as tf

    if tf.config.list_logical_devices("GPU"):
        memory = tf.config.experimental
        memory.reset_memory_stats("GPU:0")
        before = memory.get_memory_info("GPU:0")["current"]
        call()
        return memory.get_memory_info("GPU:0")["peak"] - before
    before = _status_bytes("VmRSS")
    (_PROCESS / "clear_refs").write_text("5")  # resets the peak
    call()
    return _status_bytes("VmHWM") - before


def _status_bytes(entry: str) -> int:
    for line in (_PROCESS / "status").read_text().splitlines():
        if line.startswith(f"{entry}:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"{_PROCESS}/status has no entry {entry}; is it Linux?")
