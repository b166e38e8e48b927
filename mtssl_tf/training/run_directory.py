"""What a run is: its settings, and the facts that tasks fitted on its data.

Written once, then checked: a run goes on with the settings that it started
with, but for those that may change; `config.json` keeps what was changed. Data
may lie elsewhere than at the start if it is the same files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
import contextlib
import dataclasses
import datetime
import json
import os
import pathlib
import shlex
import shutil
import sys
import typing
from typing import Any

from absl import logging
import numpy as np

from mtssl_tf import config as config_lib
from mtssl_tf import version
from mtssl_tf.files import arrays_file
from mtssl_tf.files import json_file
from mtssl_tf.files import whole_file
from mtssl_tf.process import atomic_file
from mtssl_tf.process import lock
from mtssl_tf.process import paths
from mtssl_tf.reports import tensorboard
from mtssl_tf.training import run_data

CONFIG_FILE = "config.json"
LIST_FILE = "images.list"  # of `KeptLists`; further ones have a number
SECONDS_FILE = "seconds_per_step.json"  # of a `cost_table`
PICTURES_FOLDER = "pictures"  # what tasks see and predict, mixes
SNAPSHOTS_FOLDER = "snapshots"
FACTS_FOLDER = "facts"
CHECKPOINTS_FOLDER = "checkpoints"
_FOLDERS = (
    CHECKPOINTS_FOLDER,
    FACTS_FOLDER,
    PICTURES_FOLDER,
    SNAPSHOTS_FOLDER,
    tensorboard.FOLDER,
)
_CONFIG_REMEDY = (
    "Write it anew with the run's settings, or start in a new --workdir."
)

# Settings that a resumed run may have otherwise than it started with: they
# change what is written and when, not what is learned.
_FREE_SETTINGS = {
    "preset",
    "train.steps",
    "train.hours",
    "train.log_every",
    "train.save_every",
    "train.draw_every",
    "train.costs",
    "train.snapshot_every",
    "train.judge_every",
    "train.judge_batches",
    "train.rank_every",
    "train.keep_best",
    "train.track",
    "train.probe",
    "train.probe_every",
    "train.profile",
    "data.cache_dir",
    "data.cache_gib",
    "data.num_fit",  # of the first start alone, which keeps the facts
    "train.intra_op_threads",
    "train.remat",
}
# Of every task: they change what is learned from here on, and not what the
# state means.
_FREE_OF_TASKS = {"learning_rate", "weight"}
# Free where `run_data.check` can tell that it is the same.
_DATA_SETTINGS = {"data.images": "images", "data.videos": "videos"}
_WEIGHTS_FILE = "weights.json"
_FIRST_FORMAT_OF_CUTS = 3  # of config.json
_MAX_HISTORY = 1000  # ours: starts with other settings that are kept


@contextlib.contextmanager
def hold(
    workdir: pathlib.Path, on_loss: Callable[[str], None] = logging.error
) -> Iterator[None]:
    """Makes this process the only one that writes a run directory.

    Removes what dead ones left half-written there.

    Args:
        workdir: run directory, made if it is missing.
        on_loss: as `lock.hold` takes it.

    Raises:
        LockedError: an OSError; another process trains there.
        OSError: it cannot be written.
    """
    try:
        with contextlib.ExitStack() as stack:
            stack.enter_context(lock.hold(workdir, on_loss))
            _check_folders(workdir)
            for name in ("", FACTS_FOLDER, SNAPSHOTS_FOLDER):
                atomic_file.remove_partials_in(workdir / name)
            held = stack.pop_all()
    except OSError as error:
        if error.strerror is None:
            raise  # it has said what to do
        raise _unwritable(workdir, error) from error
    with held:
        yield


def _check_folders(workdir: pathlib.Path) -> None:
    """Checks that what is to be a folder of a run's is one, or not there.

    A link to a disk that is away would be taken for a run without
    checkpoints, which starts over.
    """
    for name in _FOLDERS:
        path = workdir / name
        if os.path.lexists(path) and not path.is_dir():
            kind = "a link to nothing" if path.is_symlink() else "no folder"
            raise NotADirectoryError(
                f"{path} is {kind}. Mount the disk that it was on, or move it "
                "away."
            )


def _unwritable(workdir: pathlib.Path, error: OSError) -> OSError:
    """Returns an error that says what to do, of the same class."""
    return type(error)(
        f"--workdir={workdir} cannot be written: {error.strerror}. Name "
        "a directory on a disk with space that you may write to."
    )


def prepare(workdir: pathlib.Path, config: config_lib.RunConfig) -> None:
    """Writes `config.json`, or checks that it is this run's.

    Raises:
        OSError: the directory cannot be written.
        ValueError: it holds another run.
    """
    path = workdir / CONFIG_FILE
    history: list[dict[str, Any]] = []
    if path.exists():
        old = load_config(workdir)
        _check_same_run(workdir, old, config)
        stored = load_settings(workdir)
        history = _history_of(stored, path)
        if stored.get("format", 1) < _FIRST_FORMAT_OF_CUTS:
            logging.warning(
                "%s began with an older version: from here on its views are "
                "cut in other places of the same pictures.",
                workdir,
            )
        if changes := config_lib.differences(old, config):
            now = datetime.datetime.now().astimezone()
            history.append(
                {
                    "time": now.isoformat(timespec="seconds"),
                    "version": version.VERSION,
                    "command": shlex.join(sys.orig_argv),
                    "changes": changes,
                }
            )
            logging.info("Goes on with %s.", "; ".join(changes))
    check_is_own(workdir)
    try:
        atomic_file.write_text(
            path,
            config_lib.to_json(
                config,
                version=version.VERSION,
                command=shlex.join(sys.orig_argv),
                history=history[-_MAX_HISTORY:],
            ),
        )
    except OSError as error:
        raise _unwritable(workdir, error) from error


def check_is_own(workdir: pathlib.Path) -> None:
    """Checks that a directory holds a run, or nothing of anybody's.

    Raises:
        ValueError: it holds something else.
    """
    if (workdir / CONFIG_FILE).exists() or not workdir.exists():
        return
    if not _is_as_empty(workdir):
        raise ValueError(
            f"--workdir={workdir} is not empty and holds no {CONFIG_FILE}. "
            "Name an empty or a new directory."
        )


def _is_as_empty(workdir: pathlib.Path) -> bool:
    """Returns whether there is nothing but what a failed start leaves."""
    return all(
        path.name.startswith((lock.FILE, CONFIG_FILE, LIST_FILE))
        for path in workdir.iterdir()
    )


def load_settings(workdir: pathlib.Path) -> dict[str, Any]:
    """Returns what `config.json` holds.

    Raises:
        OSError: there is none, or it cannot be read.
        ValueError: it is damaged.
    """
    return json_file.load_object(workdir / CONFIG_FILE, _CONFIG_REMEDY)


def _history_of(
    stored: dict[str, Any], path: pathlib.Path
) -> list[dict[str, Any]]:
    """Returns a run's starts with other settings, as `config.json` has them.

    Raises:
        ValueError: they are damaged; names the file.
    """
    history = stored.get("history", [])
    with json_file.naming(path, _CONFIG_REMEDY):
        return [{**entry, "changes": entry["changes"]} for entry in history]


def load_config(workdir: pathlib.Path) -> config_lib.RunConfig:
    """Returns a run's settings.

    Raises:
        OSError: there are none, or they cannot be read.
        ValueError: they are damaged, or of a later version; names the file.
    """
    path = workdir / CONFIG_FILE
    try:
        text = whole_file.load(path).decode("utf-8-sig", "replace")
        return config_lib.from_json(text)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def load_start_of_weights(
    workdir: pathlib.Path,
    weights: Mapping[str, float],
    steps: Mapping[str, int],
) -> dict[str, int]:
    """Returns each task's steps when the run got the weights that it has.

    Args:
        workdir: run directory; where the weights are new it is noted there.
        weights: of the tasks.
        steps: that each task has done.

    Raises:
        ValueError: what was noted is damaged.
        OSError: it cannot be written.
    """
    path = workdir / _WEIGHTS_FILE
    since = dict.fromkeys(steps, 0)
    if path.exists():
        remedy = "Remove it: tasks may then take turns unevenly for a while."
        noted = json_file.load_object(path, remedy)
        if noted.get("weights") == dict(weights):
            with json_file.naming(path, remedy):
                return {name: int(noted["since"][name]) for name in steps}
        since = dict(steps)
    elif _has_changed_weights(workdir):
        since = dict(steps)  # what an earlier version had begun
    text = json.dumps({"weights": dict(weights), "since": since}, indent=2)
    atomic_file.write_text(path, text + "\n")
    return since


def _has_changed_weights(workdir: pathlib.Path) -> bool:
    path = workdir / CONFIG_FILE
    if not path.exists():
        return False
    return any(
        ".weight:" in change
        for entry in _history_of(load_settings(workdir), path)
        for change in entry["changes"]
    )


def identity_files(workdir: pathlib.Path) -> list[pathlib.Path]:
    """Returns all that makes a directory that of a run, but for its state.

    The facts that tasks fitted come on top, in a folder of their own.
    """
    names = (CONFIG_FILE, run_data.FILE, SECONDS_FILE, _WEIGHTS_FILE)
    files = (workdir / name for name in names)
    lists = sorted(workdir.glob(f"{LIST_FILE}*"))
    return [path for path in (*files, *lists) if path.exists()]


def copy_settings(workdir: pathlib.Path, folder: pathlib.Path) -> None:
    """Copies `config.json` into another folder."""
    shutil.copyfile(workdir / CONFIG_FILE, folder / CONFIG_FILE)


def load_facts(
    workdir: pathlib.Path, task: str
) -> dict[str, np.ndarray] | None:
    """Returns what a task's `fit` found at the run's start; None before.

    Raises:
        OSError, ValueError: it cannot be read, or is damaged.
    """
    path = _facts_path(workdir, task)
    if not path.exists():
        return None
    return arrays_file.load(
        path, "Bring a copy back, or start in a new --workdir."
    )


def save_facts(
    workdir: pathlib.Path, task: str, facts: Mapping[str, np.ndarray]
) -> None:
    """Keeps what a task's `fit` has found."""
    with atomic_file.open_new(_facts_path(workdir, task)) as file:
        np.savez(file, **typing.cast(dict[str, Any], facts))


def _facts_path(workdir: pathlib.Path, task: str) -> pathlib.Path:
    return workdir / FACTS_FOLDER / f"{task}.npz"


def _check_same_run(
    workdir: pathlib.Path,
    old: config_lib.RunConfig,
    new: config_lib.RunConfig,
) -> None:
    if not old.tasks:
        # Imported weights: only what they are must stay.
        old = config_lib.with_value_range(
            dataclasses.replace(new, trunk=old.trunk, contract=old.contract),
            new.contract.value_range,
        )
    changed = [
        line
        for line in config_lib.differences(old, new)
        if not _may_change(workdir, line.split(":")[0], old, new)
    ]
    if changed:
        raise ValueError(
            f"--workdir={workdir} holds a run with other settings ("
            f"{'; '.join(changed)}). Name another directory, or give the "
            "settings that the run started with."
        )


def _may_change(
    workdir: pathlib.Path,
    name: str,
    old: config_lib.RunConfig,
    new: config_lib.RunConfig,
) -> bool:
    parts = name.split(".")
    if name in _FREE_SETTINGS or (
        parts[0] == "tasks" and parts[-1] in _FREE_OF_TASKS
    ):
        return True
    kind = _DATA_SETTINGS.get(name)
    if kind is None:
        return False
    if paths.is_same_place(getattr(old.data, kind), getattr(new.data, kind)):
        return True
    # `run_data.check` looks at it once the data is open.
    return kind in run_data.load(workdir)
