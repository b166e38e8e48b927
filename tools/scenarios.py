"""What the tools share that try a list of commands, one after another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
import dataclasses
import json
import pathlib
from typing import Any, Protocol

from absl import flags

from mtssl_tf.process import atomic_file
from mtssl_tf.process import command


class _Named(Protocol):
    @property
    def name(self) -> str: ...


def define_flags(
    times: str, text: str, scenarios: Sequence[_Named]
) -> flags.FlagValues:
    """Returns the flags of such a tool.

    Args:
        times: name of the flag that says how often each is tried.
        text: of that flag.
        scenarios: that there are.
    """
    values = flags.FlagValues()
    command.define_path("out", "", "Folder to write.", values)
    flags.DEFINE_integer(times, 10, text, 1, flag_values=values)
    flags.DEFINE_list(
        "only",
        [scenario.name for scenario in scenarios],
        "Only these of the scenarios, with commas between.",
        flag_values=values,
    )
    flags.DEFINE_integer("seed", 0, "Of the moments.", flag_values=values)
    return values


def try_all(
    values: flags.FlagValues,
    scenarios: Sequence[Any],
    build_inputs: Callable[[pathlib.Path], pathlib.Path],
    try_one: Callable[[Any, pathlib.Path, pathlib.Path], Any],
    as_table: Callable[[Sequence[Any]], str],
    result_file: str,
) -> list[Any]:
    """Tries those scenarios that `--only` names, and tells of each.

    Args:
        values: of `define_flags`.
        scenarios: that there are.
        build_inputs: makes what commands read below a folder.
        try_one: scenario, inputs and folder to write -> a dataclass.
        as_table: of such, as Markdown.
        result_file: name of the JSON of all, in the folder to write.

    Returns:
        What came of each.

    Raises:
        ValueError: a flag is missing or names no scenario.
    """
    names = [scenario.name for scenario in scenarios]
    if set(values.only) - set(names) or not values.out:
        raise ValueError(
            f"--out={values.out} --only={','.join(values.only)}: expected a "
            f"folder to write, and some of {', '.join(names)}."
        )
    out = pathlib.Path(values.out).resolve()
    inputs = build_inputs(out)
    outcomes: list[Any] = []
    for scenario in scenarios:
        if scenario.name not in values.only:
            continue
        outcomes.append(try_one(scenario, inputs, out))
        print(as_table(outcomes[-1:]).splitlines()[-1], flush=True)
        records = [dataclasses.asdict(outcome) for outcome in outcomes]
        atomic_file.write_text(
            out / result_file, json.dumps(records, indent=1) + "\n"
        )
    print(as_table(outcomes))
    return outcomes
