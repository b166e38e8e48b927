"""What every evaluation command does: flags, mistakes, signals, exit codes.

Nothing here imports TensorFlow, and a command imports it only in its work:
a mistake is answered at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
import sys
from typing import TypeVar

from absl import flags

from mtssl_tf.process import keras_settings
from mtssl_tf.process import stop_signal

EXIT_USER_ERROR = 2
_EXIT_SIGNAL = 128  # plus the signal's number, as a shell reports it

_Item = TypeVar("_Item")


class Interrupted(Exception):
    """A signal came; what can be gone on from is saved.

    Attributes:
        number: of the signal.
    """

    def __init__(self, stop: stop_signal.StopSignal, where: str) -> None:
        super().__init__(f"stopped by {stop.name} {where}")
        self.number = stop.number or 0


def until_stopped(
    items: Iterable[_Item], stop: stop_signal.StopSignal | None, where: str
) -> Iterator[_Item]:
    """Yields all items unless a signal comes.

    Args:
        items: what to work through.
        stop: looked at before every item; None never stops.
        where: what is being done, such as "while testing".

    Raises:
        Interrupted: `stop` was requested.
    """
    for item in items:
        if stop is not None and stop.is_requested:
            raise Interrupted(stop, where)
        yield item


def define_shared_flags(
    presets: Iterable[str], default_preset: str, other_trunks: str = ""
) -> flags.FlagValues:
    """Returns the flags of every evaluation, apart from any other program's.

    Args:
        presets: names that --preset takes.
        default_preset: one of them.
        other_trunks: what --trunk takes besides, as a text to go on with.
    """
    values = flags.FlagValues()
    flags.DEFINE_string(
        "trunk",
        None,
        "A run directory, an export, a TF-Slim checkpoint, or 'random'"
        f"{other_trunks}.",
        flag_values=values,
    )
    flags.DEFINE_string(
        "out",
        None,
        "Folder for result.json and all else that is written.",
        flag_values=values,
    )
    flags.DEFINE_enum(
        "preset",
        default_preset,
        list(presets),
        "Settings to start from, and the shape of a random trunk.",
        flag_values=values,
    )
    flags.DEFINE_bool(
        "lasso",
        False,
        "Reads a sparse, learned mix of all units of block 3.",
        flag_values=values,
    )
    flags.DEFINE_integer(
        "seed", 0, "Of everything random.", 0, flag_values=values
    )
    return values


def check_given(values: flags.FlagValues, names: Iterable[str]) -> None:
    """Checks that flags without a default were given.

    Raises:
        ValueError: some were not; names all of them.
    """
    missing = [f"--{name}" for name in names if not values[name].value]
    if missing:
        verb = "is" if len(missing) == 1 else "are"
        raise ValueError(f"{', '.join(missing)} {verb} required. Try --help.")


def run(
    name: str,
    text: str,
    values: flags.FlagValues,
    argv: list[str],
    work: Callable[[flags.FlagValues], None],
) -> int:
    """Runs a command and returns its exit code; 2 is a mistaken input.

    Args:
        name: of the command, which its messages start with.
        text: what --help says above the flags.
        values: the flags, not yet parsed.
        argv: the command line, the program first.
        work: does all the rest. It checks flags and data before it imports
            TensorFlow.
    """
    if {"--help", "-h"} & set(argv[1:]):
        print(f"{text}\n{values.get_help()}")
        return 0
    try:
        rest = values(argv)[1:]
        if rest:
            raise ValueError(
                f"There are only flags here, got {rest}. Try --help."
            )
        keras_settings.fix()
        work(values)
    except Interrupted as stopped:
        print(f"{name}: {stopped}; the same command goes on.", file=sys.stderr)
        return _EXIT_SIGNAL + stopped.number
    except (flags.Error, ValueError, OSError, FloatingPointError) as error:
        print(f"{name}: {error}", file=sys.stderr)
        return EXIT_USER_ERROR
    return 0
