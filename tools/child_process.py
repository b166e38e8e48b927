"""Running a command of this project to its own end."""

from __future__ import annotations

from collections.abc import Sequence
import signal
import subprocess

from mtssl_tf.process import end_signals


def run_to_its_end(command: Sequence[str]) -> None:
    """Runs a command; signals are the command's to answer.

    Training saves before it stops. `subprocess.run` would kill it a quarter
    of a second after Ctrl-C, and leave it running after SIGTERM.

    Raises:
        subprocess.CalledProcessError: it failed, or was stopped.
    """
    process: subprocess.Popen | None = None
    came: list[int] = []  # before the command was there

    def pass_on(number: int, _: object) -> None:
        if process is None:
            came.append(number)
        else:
            process.send_signal(number)

    former = {
        # A terminal sends these to the command too, which stops at once when
        # a second one comes: nothing is passed on.
        number: signal.signal(number, lambda *_: None)
        for number in (signal.SIGINT, signal.SIGHUP)
        if not end_signals.is_deaf_to(number)
    }
    former |= {
        signal.SIGTERM: signal.signal(signal.SIGTERM, pass_on),
    }
    try:
        process = subprocess.Popen(command)
        for number in came:
            process.send_signal(number)
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
