"""What the evaluation commands share beside `mtssl_tf.process.command`.

Nothing here imports TensorFlow, and a command imports it only in its work:
a mistake is answered at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
import pathlib
from typing import TypeVar

from absl import flags

from mtssl_tf.embedding import request as request_lib
from mtssl_tf.files import hub
from mtssl_tf.process import atomic_file
from mtssl_tf.process import command as command_lib
from mtssl_tf.process import lock

# ours: of a trunk whose own is none of an evaluation's; of imported weights it
# is the one that `mtssl_tf.embed` has too.
_PRESET_OF_THE_REST = request_lib.RANDOM_PRESET
_WITHOUT_WEIGHTS = ("random", "pixels")

_T = TypeVar("_T")


def define_shared_flags(
    presets: Iterable[str], other_trunks: str = ""
) -> flags.FlagValues:
    """Returns the flags of every evaluation, apart from any other program's.

    Args:
        presets: names that --preset takes, 'tiny' among them.
        other_trunks: what --trunk takes besides, as a text to go on with.
    """
    values = flags.FlagValues()
    command_lib.define_path(
        "trunk",
        None,
        "A run directory, an export, hf://USER/NAME, a TF-Slim checkpoint, "
        f"'random', or 'random:FAMILY'{other_trunks}.",
        values,
    )
    command_lib.define_path(
        "out",
        None,
        "Folder for result.json and all else that is written.",
        values,
    )
    flags.DEFINE_enum(
        "preset",
        None,
        list(presets),
        "Settings to start from, and the shape of a random trunk. By default "
        "what the trunk was trained at where that is one of them, "
        f"{request_lib.DEFAULT_PRESET} for imported weights, else "
        f"{_PRESET_OF_THE_REST}.",
        flag_values=values,
    )
    flags.DEFINE_bool(
        "lasso",
        False,
        "Reads a sparse, learned mix of all units of block 3.",
        flag_values=values,
    )
    flags.DEFINE_integer(
        "seed", 0, "Of everything random.", 0, 2**31 - 1, flag_values=values
    )
    return values


def define_set(values: flags.FlagValues) -> None:
    """Defines --set, whose values `settings.replace_all` takes."""
    flags.DEFINE_multi_string(
        "set",
        [],
        "NAME=VALUE: changes a setting of the protocol; may be repeated.",
        flag_values=values,
    )


def check_given(values: flags.FlagValues, names: Iterable[str]) -> None:
    """Checks that flags without a default were given.

    Raises:
        ValueError: some were not; names all of them.
    """
    missing = [f"--{name}" for name in names if not values[name].value]
    if missing:
        verb = "is" if len(missing) == 1 else "are"
        raise ValueError(f"{', '.join(missing)} {verb} required. Try --help.")


def with_preset(values: flags.FlagValues, build: Callable[[str], _T]) -> _T:
    """Returns what flags make of a preset, which is the trunk's by default.

    Args:
        values: gets its `preset`, where none is named.
        build: takes the preset, and raises ValueError for flags that do not
            fit. Nothing is downloaded before it has seen them.

    Raises:
        FileNotFoundError: a trunk on the hub is not there.
        ValueError: as `build`, or the trunk's settings cannot be read.
    """
    if values.preset is None:
        if hub.is_on_hub(values.trunk or ""):
            build(_PRESET_OF_THE_REST)
        presets = values["preset"].parser.enum_values
        values.preset = _preset_of(values.trunk, presets)
    return build(values.preset)


def _preset_of(trunk: str | None, presets: Iterable[str]) -> str:
    """Returns the preset to judge a trunk by where none is named."""
    from mtssl_tf.training import run_directory  # no help waits for it

    if not trunk or trunk.partition(":")[0] in _WITHOUT_WEIGHTS:
        return _PRESET_OF_THE_REST
    is_on_hub = hub.is_on_hub(trunk)
    folder = hub.download(trunk) if is_on_hub else pathlib.Path(trunk)
    own = ""
    if (folder / run_directory.CONFIG_FILE).is_file():
        own = run_directory.load_config(folder).preset
    return preset_among(own or request_lib.DEFAULT_PRESET, presets)


def preset_among(trained_at: str, presets: Iterable[str]) -> str:
    """Returns which of an evaluation's presets judges a trunk of another's."""
    return trained_at if trained_at in presets else _PRESET_OF_THE_REST


def run(
    name: str,
    text: str | None,
    values: flags.FlagValues,
    argv: list[str],
    work: Callable[[flags.FlagValues], None],
) -> int:
    """Runs an evaluation, alone in its folder, and returns its exit code.

    Args:
        name: of the command, which its messages start with.
        text: what --help says above the flags.
        values: the flags, not yet parsed.
        argv: the command line, the program first.
        work: does all the rest. It checks flags and data before it imports
            TensorFlow.
    """

    def work_alone(values: flags.FlagValues) -> None:
        if not values.out:
            work(values)
            return
        out = pathlib.Path(values.out)
        with lock.hold(out, command_lib.end_at_lost_lock(name)):
            atomic_file.remove_partials_in(out)  # of who was killed
            work(values)

    return command_lib.run(name, text, values, argv, work_alone)
