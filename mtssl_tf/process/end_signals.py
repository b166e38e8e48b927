"""Signals end a command in order, soon, and without a traceback.

To be imported before all that takes a while to import: a command takes
signals in its first lines. Work that has something to save first listens by a
`stop_signal.StopSignal` meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
import contextlib
import os
import signal
import sys
import time
import types

# Ctrl-C; what schedulers send; a terminal that is closed, or an ssh that ends.
NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
EXIT_SIGNAL = 128  # plus the signal's number, as a shell reports it
# ours: for the main thread to end in order. It may stand in C code that looks
# at no signal, as within an import, or its interrupt may be swallowed there.
_GRACE_S = 1.2

_came: list[int] = []
_is_working: list[bool] = []  # holds something while `working` is open
# What each thread that forks heard before it: it may be deaf on purpose.
_masks: dict[int, set[int | signal.Signals]] = {}
_last_deeds: list[Callable[[], None]] = []


def take() -> None:
    """Makes this process end at a signal; for commands, in their first lines.

    While modules are imported it ends at once. In `working` the main thread
    is interrupted; where that does not end the process within a second or
    so, a thread of its own does.
    """
    for number in heard():
        signal.signal(number, _interrupt)
    import threading  # slow, and the signals were first

    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    os.register_at_fork(
        before=_hold_off, after_in_parent=_let_in, after_in_child=_let_go
    )
    threading.Thread(
        target=_watch, args=(reader,), name="end_signals", daemon=True
    ).start()


def is_deaf_to(number: signal.Signals) -> bool:
    """Returns whether who started this process wants a signal ignored.

    `nohup` does, and a shell without job control: what it puts into the
    background is deaf to Ctrl-C.
    """
    return signal.getsignal(number) is signal.SIG_IGN


def heard() -> list[signal.Signals]:
    """Returns those of `NUMBERS` that this process is to listen to."""
    return [number for number in NUMBERS if not is_deaf_to(number)]


@contextlib.contextmanager
def working() -> Iterator[None]:
    """Has a signal raise KeyboardInterrupt meanwhile, for work to end by."""
    _is_working.append(True)
    try:
        yield
    finally:
        _is_working.pop()


def came() -> int | None:
    """Returns the number of the signal that ends this process, or None."""
    return _came[0] if _came else None


def add_last_deed(deed: Callable[[], None]) -> None:
    """Has a function called where the process must end at once.

    It may be called from any thread, and must be quick.
    """
    _last_deeds.append(deed)


def remove_last_deed(deed: Callable[[], None]) -> None:
    """Takes back what `add_last_deed` was given."""
    if deed in _last_deeds:
        _last_deeds.remove(deed)


def end_at_once(code: int) -> None:
    """Ends the process without waiting for any thread."""
    for deed in list(_last_deeds):
        try:
            deed()
        except Exception:  # others are to be done still
            continue
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            continue
    os._exit(code)


def _interrupt(number: int, frame: types.FrameType | None) -> None:
    del frame
    if _came or not _is_working:
        end_at_once(EXIT_SIGNAL + number)
    _came.append(number)
    import threading

    # An interrupt inside a callback or a destructor is shown, not raised.
    sys.unraisablehook = lambda _: None
    threading.excepthook = lambda _: None
    raise KeyboardInterrupt


def _hold_off() -> None:
    """Keeps signals off until a fork has made two of this process."""
    import threading

    _masks[threading.get_ident()] = signal.pthread_sigmask(
        signal.SIG_BLOCK, NUMBERS
    )


def _let_in() -> None:
    import threading

    mask = _masks.pop(threading.get_ident())
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _let_go() -> None:
    """Gives signals back in a forked process, whose pipe is its parent's."""
    signal.set_wakeup_fd(-1)
    for number in NUMBERS:
        if signal.getsignal(number) is _interrupt:
            signal.signal(number, signal.SIG_DFL)
    _let_in()


def _watch(reader: int) -> None:
    """Sees to it that a signal is the end."""
    while True:
        for number in os.read(reader, 64):
            if number not in NUMBERS:
                continue
            if signal.getsignal(number) is _interrupt:
                time.sleep(_GRACE_S)
                end_at_once(EXIT_SIGNAL + number)
