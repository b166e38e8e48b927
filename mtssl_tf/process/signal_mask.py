"""Signals that a thread, and what it starts, does not hear for a while."""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import signal


@contextlib.contextmanager
def blocked(number: signal.Signals) -> Iterator[None]:
    """Keeps a signal from the processes and threads that are started meanwhile.

    Those stay deaf to it; one that comes to this process comes afterwards.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {number})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
