"""A run directory's `config.json`: written once, then checked.

A run goes on only with the settings that it started with.
"""

from __future__ import annotations

import dataclasses
import pathlib
import shlex
import sys

from mtssl_tf import config as config_lib
from mtssl_tf import version
from mtssl_tf.process import atomic_file

CONFIG_FILE = "config.json"

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
