"""What a run is: its settings, and the facts that tasks fitted on its data.

Written once, then checked: a run goes on only with the settings that it
started with.
"""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses
import pathlib
import shlex
import shutil
import sys
import typing
from typing import Any

import numpy as np

from mtssl_tf import config as config_lib
from mtssl_tf import version
from mtssl_tf.process import atomic_file

CONFIG_FILE = "config.json"
_FACTS_FOLDER = "facts"

# Settings that a resumed run may have otherwise than it started with: they
# change what is written and when, not what is learned.
_FREE_SETTINGS = (
    "preset",
    "train.steps",
    "train.log_every",
    "train.save_every",
    "train.draw_every",
    "train.judge_every",
    "train.judge_batches",
    "train.probe",
    "train.probe_every",
    "train.profile",
    "data.cache_dir",
    "data.cache_gib",
    "train.intra_op_threads",
)


def prepare(workdir: pathlib.Path, config: config_lib.RunConfig) -> None:
    """Writes `config.json`, or checks that it is this run's.

    Raises:
        OSError: the directory cannot be written.
        ValueError: it holds another run.
    """
    path = workdir / CONFIG_FILE
    if path.exists():
        old = config_lib.from_json(path.read_text())
        _check_same_run(workdir, old, config)
    elif workdir.exists() and any(workdir.iterdir()):
        raise ValueError(
            f"--workdir={workdir} is not empty and holds no {CONFIG_FILE}. "
            "Name an empty or a new directory."
        )
    try:
        atomic_file.write_text(
            path,
            config_lib.to_json(
                config,
                version=version.VERSION,
                command=shlex.join(sys.orig_argv),
            ),
        )
    except OSError as error:
        raise OSError(
            f"--workdir={workdir} cannot be written: {error.strerror}. Name "
            "a directory on a disk with space that you may write to."
        ) from error


def copy_identity(workdir: pathlib.Path, folder: pathlib.Path) -> None:
    """Makes `folder` the run directory of a snapshot, but for its checkpoint.

    It is then exported and evaluated like the run itself.
    """
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy2(workdir / CONFIG_FILE, folder)
    if (workdir / _FACTS_FOLDER).is_dir():
        shutil.copytree(
            workdir / _FACTS_FOLDER,
            folder / _FACTS_FOLDER,
            dirs_exist_ok=True,
        )


def load_facts(
    workdir: pathlib.Path, task: str
) -> dict[str, np.ndarray] | None:
    """Returns what a task's `fit` found at the run's start; None before."""
    path = _facts_path(workdir, task)
    if not path.exists():
        return None
    with np.load(path) as stored:
        return {name: stored[name] for name in stored.files}


def save_facts(
    workdir: pathlib.Path, task: str, facts: Mapping[str, np.ndarray]
) -> None:
    """Keeps what a task's `fit` has found."""
    with atomic_file.open_new(_facts_path(workdir, task)) as file:
        np.savez(file, **typing.cast(dict[str, Any], facts))


def _facts_path(workdir: pathlib.Path, task: str) -> pathlib.Path:
    return workdir / _FACTS_FOLDER / f"{task}.npz"


def _check_same_run(
    workdir: pathlib.Path,
    old: config_lib.RunConfig,
    new: config_lib.RunConfig,
) -> None:
    if not old.tasks:
        # Imported weights: only what they are must stay.
        old = dataclasses.replace(new, trunk=old.trunk, contract=old.contract)
    changed = [
        line
        for line in config_lib.differences(old, new)
        if line.split(":")[0] not in _FREE_SETTINGS
    ]
    if changed:
        raise ValueError(
            f"--workdir={workdir} holds a run with other settings ("
            f"{'; '.join(changed)}). Name another directory, or give the "
            "settings that the run started with."
        )
