"""Running a command of this project to its own end."""

from __future__ import annotations

from collections.abc import Sequence
import signal
import subprocess

from mtssl_tf.process import end_signals


def run_to_its_end(command: Sequence[str]) -> None:
    """Runs a command; Ctrl-C and SIGTERM are the command's to answer.

    Training saves before it stops. `subprocess.run` would kill it a quarter
    of a second after Ctrl-C, and leave it running after SIGTERM.

    Raises:
        subprocess.CalledProcessError: it failed, or was stopped.
    """
    process = subprocess.Popen(command)
    former = {
        # A terminal sends Ctrl-C to the command too, which stops at once
        # when a second one comes: nothing is passed on.
        signal.SIGINT: signal.signal(signal.SIGINT, lambda *_: None),
        signal.SIGTERM: signal.signal(
            signal.SIGTERM, lambda number, _: process.send_signal(number)
        ),
    }
    try:
        code = process.wait()
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
    if code:
        raise subprocess.CalledProcessError(code, list(command))


def exit_code(error: subprocess.CalledProcessError) -> int:
    """Returns a failed command's exit code as a shell reports it."""
    code = error.returncode
    return code if code > 0 else end_signals.EXIT_SIGNAL - code
