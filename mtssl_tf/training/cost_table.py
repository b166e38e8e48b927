"""The file of seconds per step: measured once, and shared by experiments.

It is JSON: of one machine, for each preset and task, the GPU seconds of a step
(`gpu_hours.py`) and in what the settings differed from the preset when they
were measured. A run directory holds the file that its cost is counted with.
"""

from __future__ import annotations

from collections.abc import Mapping
import json
import pathlib
from typing import Any

from absl import logging

from mtssl_tf import config as config_lib
from mtssl_tf.files import json_file
from mtssl_tf.process import atomic_file
from mtssl_tf.training import gpu_hours
from mtssl_tf.training import run_directory

_LEAST_S, _MOST_S = 1e-9, 1e9  # ours: no step takes less, or more
_MACHINE, _PRESETS = "machine", "seconds_per_step"
_SECONDS, _SETTINGS = "seconds", "settings"
_REMEDY = "Measure again: the same command with --calibrate and a new --costs."
# What a step takes hangs on these, beside the task's own settings...
_SECTIONS = (
    *("trunk.", "train.precision", "train.remat", "train.freeze_trunk"),
    *("train.accumulate", "train.xla"),
)
# ...but for these.
_FREE_OF_TASKS = ("weight", "learning_rate", "grey_input")


def load(
    path: pathlib.Path, config: config_lib.RunConfig
) -> gpu_hours.GpuHours:
    """Returns the prices of a run's tasks.

    Where they were measured with other settings than the run's, that is
    logged: experiments share a table.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged, or lacks a task.
    """
    entries = _entries(path, config)
    for name in config.tasks:
        measured, own = entries[name][_SETTINGS], _settings(config, name)
        if measured != own:
            logging.warning(
                "%s: a step of %s was measured with %s, and this run has %s. "
                "It counts with what was measured.",
                path,
                name,
                "; ".join(measured) or "the preset as it is",
                "; ".join(own) or "the preset as it is",
            )
    return gpu_hours.GpuHours(
        {name: float(entries[name][_SECONDS]) for name in config.tasks}
    )


def check(config: config_lib.RunConfig) -> None:
    """Raises what `load` would where a run names a table."""
    if config.train.costs:
        _entries(pathlib.Path(config.train.costs), config)


def save(
    path: pathlib.Path,
    config: config_lib.RunConfig,
    machine: str,
    seconds: Mapping[str, float],
) -> None:
    """Adds what was measured to a file, which is made if it is missing.

    Args:
        path: of the file.
        config: settings that it was measured with.
        machine: that it was measured on, in words.
        seconds: task -> GPU seconds of a step.

    Raises:
        ValueError: the file is damaged, or of another machine.
    """
    table: dict[str, Any] = {_MACHINE: machine, _PRESETS: {}}
    if path.exists():
        table = _load(path)
        check_machine(path, machine)
    entries = table[_PRESETS].setdefault(config.preset, {})
    for name, each in seconds.items():
        entries[name] = {_SECONDS: each, _SETTINGS: _settings(config, name)}
    atomic_file.write_text(path, json.dumps(table, indent=2) + "\n")


def load_machine(path: pathlib.Path) -> str:
    """Returns what a file was measured on, in words.

    Raises:
        OSError: it cannot be read.
        ValueError: it is damaged.
    """
    return _load(path)[_MACHINE]


def check_machine(path: pathlib.Path, machine: str) -> None:
    """Raises ValueError where a file holds what another machine takes."""
    if path.exists() and load_machine(path) != machine:
        raise ValueError(
            f"{path} is of another machine ({load_machine(path)}; this is "
            f"{machine}). Name another file for this one."
        )


def find(
    workdir: pathlib.Path, config: config_lib.RunConfig
) -> gpu_hours.GpuHours | None:
    """Returns what a run's cost is counted with: `--costs`, which is kept in
    the run directory, or what was kept there before; None without either.

    Raises:
        OSError: the file is missing, or cannot be kept.
        ValueError: it is damaged, or lacks a task.
    """
    kept = workdir / run_directory.SECONDS_FILE
    if not config.train.costs:
        return load(kept, config) if kept.exists() else None
    given = pathlib.Path(config.train.costs)
    prices = load(given, config)
    text = given.read_text()
    if kept.exists() and kept.read_text() != text:
        logging.warning(
            "--costs=%s is not what the run began with: all of its steps are "
            "counted with it from here on.",
            given,
        )
    atomic_file.write_text(kept, text)
    return prices


def _entries(
    path: pathlib.Path, config: config_lib.RunConfig
) -> dict[str, dict[str, Any]]:
    """Returns what was measured of each task, all of the run's included."""
    if not path.is_file():
        raise FileNotFoundError(
            f"--costs={path} is missing. Measure it: the same command with "
            "--calibrate."
        )
    entries = _load(path)[_PRESETS].get(config.preset, {})
    missing = [name for name in config.tasks if name not in entries]
    if missing:
        raise ValueError(
            f"{path} has no seconds per step of {', '.join(missing)} at preset "
            f"{config.preset}. Add them: the same command with --calibrate."
        )
    return entries


def _load(path: pathlib.Path) -> dict[str, Any]:
    """Returns a table that is as it should be."""
    table = json_file.load_object(path, _REMEDY)
    try:
        if not isinstance(table[_MACHINE], str):
            raise TypeError(f"its {_MACHINE} is no text")
        for entries in table[_PRESETS].values():
            for name, entry in entries.items():
                if not _LEAST_S <= entry[_SECONDS] <= _MOST_S:
                    raise ValueError(f"{name} takes {entry[_SECONDS]} seconds")
                entry[_SETTINGS] = [str(each) for each in entry[_SETTINGS]]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(
            f"{path} is no table of seconds per step ({error!r}). {_REMEDY}"
        ) from error
    return table


def _settings(config: config_lib.RunConfig, task: str) -> list[str]:
    """Returns what differs from the preset and changes what a step takes."""
    preset = config_lib.preset_config(config.preset, list(config.tasks))
    own = f"tasks.{task}."
    free = tuple(f"{own}{name}:" for name in _FREE_OF_TASKS)
    return [
        line
        for line in config_lib.differences(preset, config)
        if line.startswith((own, *_SECTIONS)) and not line.startswith(free)
    ]
