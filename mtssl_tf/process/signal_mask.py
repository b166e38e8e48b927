"""Signals that a thread, and what it starts, does not hear for a while."""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import signal


@contextlib.contextmanager
def blocked(*numbers: signal.Signals) -> Iterator[None]:
    """Keeps signals from the processes and threads that are started meanwhile.

    Those stay deaf to them; one that comes to this process comes afterwards.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
