"""What every command does: flags, mistakes, signals, exit codes.

Exit codes: 0; 2 for what a user can mend, in one line; 1 for a fault of ours,
with a traceback; 128 plus the number of the signal that ended the command.
Nothing here imports TensorFlow: a mistake is answered at once.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
import errno
import io
import math
import os
import re
import sys
import traceback
from typing import Any, NoReturn

from absl import flags
from absl import logging

from mtssl_tf import version
from mtssl_tf.process import end_signals
from mtssl_tf.process import keras_settings
from mtssl_tf.process import paths
from mtssl_tf.process import stop_signal

EXIT_FAULT = 1
EXIT_USER_ERROR = 2
_EXIT_PIPE = end_signals.EXIT_SIGNAL + 13  # SIGPIPE's number everywhere

_REPORT = (
    f"This is a fault of mtssl_tf {version.VERSION}. Please report it, with "
    "the lines above, in the repository's issue tracker: "
    ".github/ISSUE_TEMPLATE/bug_report.md says what helps."
)
# What raises these in arithmetic is a fault, and not a diverged loss.
_OWN_ARITHMETIC = (ZeroDivisionError, OverflowError)
_USERS = (ValueError, OSError, ArithmeticError, flags.Error)
# Of TensorFlow's errors those that tell of files, memory and other hosts.
_USERS_OPS = (
    "NotFoundError",
    "AlreadyExistsError",
    "PermissionDeniedError",
    "ResourceExhaustedError",
    "FailedPreconditionError",
    "UnavailableError",
    "DataLossError",
    "DeadlineExceededError",
)
_REMEDIES = {
    errno.ENOSPC: "Free some space and run the same command again.",
    errno.EDQUOT: "Free some space and run the same command again.",
    errno.EACCES: "Name one that you may use, or change who may.",
    errno.EPERM: "Name one that you may use, or change who may.",
    errno.EROFS: "Name one on a disk that can be written.",
    errno.ENOENT: "Check the name.",
    errno.ENOTDIR: "Check the name: a part of it is a file.",
    errno.EISDIR: "Name a file, not a folder.",
    errno.ENAMETOOLONG: "Choose a shorter name.",
    errno.ELOOP: "Its symbolic links lead in a circle: mend them.",
    errno.EMFILE: "Allow more open files (ulimit -n).",
    errno.EIO: "The disk cannot be read or written there: check it.",
    errno.ESTALE: "The network disk has lost it: mount it again.",
}


class Interrupted(Exception):
    """A signal came; what can be gone on from is saved.

    Attributes:
        number: of the signal.
    """

    def __init__(self, stop: stop_signal.StopSignal, where: str) -> None:
        super().__init__(f"stopped by {stop.name} {where}")
        self.number = stop.number or 0


_NAMES_NOTHING = (
    "names nothing. Leave the flag out, or look whether the shell's variable "
    "behind it is set."
)


class _PathFlag(flags.Flag):
    """A flag of a path, which names something.

    One that is empty is mostly a shell's variable that was never set.
    """

    def parse(self, argument: Any) -> None:
        if not argument:
            raise flags.IllegalFlagValueError(
                f"--{self.name}= {_NAMES_NOTHING}"
            )
        super().parse(argument)


class _PathParser(flags.ArgumentParser):
    """Reads a path, as `paths.expand` does."""

    def parse(self, argument: Any) -> Any:
        return paths.expand(argument) if argument else argument


def define_path(
    name: str, default: str | None, text: str, values: flags.FlagValues
) -> flags.FlagHolder:
    """Defines a flag that names a file or a folder, or a set of data."""
    flag = _PathFlag(_PathParser(), None, name, default, text)
    return flags.DEFINE_flag(flag, flag_values=values)


class _ImagesParser(flags.ArgumentParser):
    """Reads sets of data with commas between, as `paths.split` does."""

    def parse(self, argument: Any) -> Any:
        return paths.join(paths.split(argument)) if argument else argument


def define_images(
    name: str, text: str, values: flags.FlagValues
) -> flags.FlagHolder:
    """Defines a flag that names pictures, wherever they are."""
    text = f"{text}: {paths.IMAGES_HELP}"
    flag = _PathFlag(_ImagesParser(), None, name, "", text)
    return flags.DEFINE_flag(flag, flag_values=values)


def path(text: str) -> str:
    """Reads a path of `Parser`, as `define_path` does one of absl's."""
    if not text:
        raise argparse.ArgumentTypeError(_NAMES_NOTHING)
    return paths.expand(text)


class Parser(argparse.ArgumentParser):
    """argparse's, with a mistake as an error for `call` to show.

    Paths are of `type=command.path`.
    """

    def error(self, message: str) -> NoReturn:
        raise ValueError(f"{message}. Try --help.")


def run(
    name: str,
    text: str | None,
    values: flags.FlagValues,
    argv: Sequence[str],
    work: Callable[..., int | None],
    takes_more: bool = False,
) -> int:
    """Runs a command with flags and returns its exit code.

    Args:
        name: of the command, which its messages start with.
        text: what --help says above the flags.
        values: the flags, not yet parsed.
        argv: the command line, the program first.
        work: does all the rest, and may return an exit code. It checks flags
            and data before it imports TensorFlow.
        takes_more: whether there may be more than flags: `work` gets the
            list of it as well.
    """

    def parse_and_work() -> int | None:
        if {"--help", "-h"} & set(argv[1:]):
            print(f"{text}\n{values.get_help()}")
            return 0
        values.unparse_flags()  # of an earlier call in the same process
        rest = values(list(argv))[1:]
        _check_finite(values)
        if takes_more:
            return work(values, rest)
        if rest:
            raise ValueError(
                f"There are only flags here, got {rest}. Try --help."
            )
        return work(values)

    return call(name, parse_and_work)


def _check_finite(values: flags.FlagValues) -> None:
    """Raises ValueError where a number is none, which absl lets pass."""
    for name in values:
        value = values[name].value
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"--{name}={value} must be finite.")


def call(name: str, work: Callable[[], int | None]) -> int:
    """Runs a command that reads its flags itself; returns its exit code.

    Args:
        name: of the command, which its messages start with.
        work: does everything, and may return an exit code.
    """
    _open_closed_streams()
    logging.use_absl_handler()
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Of a name that is no UTF-8; so does standard error by itself.
        sys.stdout.reconfigure(errors="backslashreplace")
    if not flags.FLAGS.is_parsed():  # absl's own, which a command has not
        flags.FLAGS.mark_as_parsed()
    try:
        with end_signals.working():
            keras_settings.fix()
            try:
                return work() or 0
            finally:
                sys.stdout.flush()  # here an error of it is still told
    except SystemExit as error:  # argparse's --help
        if isinstance(error.code, str):
            _say(f"{name}: {error.code}")
            return EXIT_USER_ERROR
        return error.code or 0
    except BaseException as error:
        return _report(name, error)


def _open_closed_streams() -> None:
    """Gives output that was closed (`2>&-`) somewhere to go.

    Else the next file that is opened would be taken for it.
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))


def end(code: int) -> NoReturn:
    """Ends the process with what a command returned."""
    if end_signals.came() is not None:
        # Nobody waits for threads that are in the middle of something.
        end_signals.end_at_once(code)
    sys.exit(code)


def end_at_lost_lock(name: str) -> Callable[[str], None]:
    """Returns what ends the process where its lock is lost, for `lock.hold`.

    Nothing is saved then: somebody else writes there.
    """

    def end_at_once(message: str) -> None:
        _say(f"{name}: {message}")
        end_signals.end_at_once(EXIT_USER_ERROR)

    return end_at_once


def describe(error: BaseException) -> str | None:
    """Returns the one line that a user needs; None for a fault of ours."""
    cause = getattr(error, "cause", None)
    if isinstance(cause, Exception):  # what a process of Ray raised
        return describe(cause)
    if isinstance(error, _OWN_ARITHMETIC):
        return None
    if isinstance(error, OSError) and error.strerror and error.filename:
        remedy = _REMEDIES.get(error.errno or 0, "")
        where = os.fsdecode(error.filename)
        return _one_line(f"{where}: {error.strerror}. {remedy}")
    if isinstance(error, OSError) and error.strerror:
        remedy = _REMEDIES.get(error.errno or 0, "")
        return _one_line(f"{error.strerror}. {remedy}")
    if isinstance(error, _USERS):
        return _one_line(str(error))
    if isinstance(error, MemoryError):
        return (
            "Not enough memory. Lower batch_size, or leave more of it free. "
            + _one_line(str(error))
        ).strip()
    if isinstance(error, ModuleNotFoundError):
        return _describe_missing(error)
    return _describe_operation(error)


def _report(name: str, error: BaseException) -> int:
    number = end_signals.came()
    if number is None and isinstance(error, KeyboardInterrupt):
        number = 2
    if number is not None:
        _say(f"{name}: stopped.")
        return end_signals.EXIT_SIGNAL + number
    if isinstance(error, Interrupted):
        _say(f"{name}: {error}; the same command goes on.")
        return end_signals.EXIT_SIGNAL + error.number
    if isinstance(error, OSError) and not error.filename:
        _drop_unwritable_output()
    if isinstance(error, BrokenPipeError) and not error.filename:
        return _EXIT_PIPE  # who read our output has enough, as `head` does
    line = describe(error)
    if line is not None:
        _say(f"{name}: {line}")
        return EXIT_USER_ERROR
    _say("".join(traceback.format_exception(error)).rstrip())
    _say(f"{name}: {_REPORT}")
    return EXIT_FAULT


def _drop_unwritable_output() -> None:
    """Keeps Python from writing again, at its end, what could not be."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _describe_missing(error: ModuleNotFoundError) -> str | None:
    name = (error.name or "").partition(".")[0]
    if name in ("", "mtssl_tf", "evaluation", "tools"):
        return None
    return (
        f"The package {name!r} is not installed. Install mtssl_tf's "
        "requirements again: pip install -e ."
    )


def _describe_operation(error: BaseException) -> str | None:
    """Returns what an operation of TensorFlow says to a user, if anything."""
    tensorflow = sys.modules.get("tensorflow")
    errors = getattr(tensorflow, "errors", None)
    if errors is None or not isinstance(error, errors.OpError):
        return None
    inner = _python_error(error.message)
    if inner is not None:
        kind, text = inner
        is_users = issubclass(kind, _USERS)
        is_ours = issubclass(kind, _OWN_ARITHMETIC)
        return _one_line(text) if is_users and not is_ours else None
    if type(error).__name__ not in _USERS_OPS:
        return None
    text = _one_line(re.sub(r"\{\{[^}]*\}\}|\[\[[^]]*\]\]", "", error.message))
    if isinstance(error, errors.ResourceExhaustedError):
        return f"Not enough memory or disk. Lower batch_size. {text}"
    return text


def _python_error(message: str) -> tuple[type, str] | None:
    """Returns class and text of what Python raised within an operation."""
    head, trace, _ = message.partition("\nTraceback (most recent call last)")
    if not trace:
        return None
    classes = {each.__name__: each for each in _classes(Exception)}
    # Before it stands where in the pipeline it was, in the same form.
    for found in re.finditer(r"([A-Za-z_]\w*): ", head):
        if found[1] in classes:
            return classes[found[1]], head[found.end() :]
    return Exception, head


def _classes(kind: type[Any]) -> Iterator[type[Any]]:
    yield kind
    for each in kind.__subclasses__():
        yield from _classes(each)


def _one_line(text: str) -> str:
    return " ".join(part.strip() for part in text.splitlines()).strip()


def _say(text: str) -> None:
    shown = text.encode(errors="backslashreplace").decode()
    try:
        print(shown, file=sys.stderr, flush=True)
    except (OSError, ValueError):  # nobody reads it
        return
