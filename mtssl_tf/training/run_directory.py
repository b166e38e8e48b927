"""What a run is: its settings, and the facts that tasks fitted on its data.

Written once, then checked: a run goes on with the settings that it started
with, but for those that may change; `config.json` keeps what was changed. Data
may lie elsewhere than at the start if it is the same files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
import contextlib
import dataclasses
import datetime
import hashlib
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

CONFIG_FILE = "config.json"
LIST_FILE = "images.list"  # of `KeptLists`; further ones have a number
SECONDS_FILE = "seconds_per_step.json"  # of a `cost_table`
CONTENT_FILE = "data.json"
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
# Free where `check_content` can tell that it is the same.
_DATA_SETTINGS = {"data.images": "images", "data.videos": "videos"}
_RECORDS_IN = "records_in"
_WEIGHTS_FILE = "weights.json"
_NUM_SIZES = 256  # ours: files whose sizes are compared too
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


def _load_content(workdir: pathlib.Path) -> dict[str, Any]:
    """Returns what is noted of a run's data, by its kind."""
    path = workdir / CONTENT_FILE
    if not path.exists():
        return {}
    remedy = "Remove it, and name the data where it lay at the start."
    return json_file.load_object(path, remedy)


def records_in(workdir: pathlib.Path, images: str) -> str | None:
    """Returns the folder that a run's records are said to be in.

    As `ShardIndex.names` takes it. Names stay what they were at the start,
    wherever the files are by now: they decide what is held out.

    Args:
        workdir: run directory.
        images: what the user named.

    Raises:
        OSError, ValueError: what is noted there cannot be read.
    """
    noted = _load_content(workdir).get("images")
    if not isinstance(noted, dict):
        return ""
    if _RECORDS_IN in noted:
        return str(noted[_RECORDS_IN])
    # A run of an earlier version, whose names have paths.
    before = str(noted.get("path"))
    pattern = before.removeprefix(paths.RECORDS)
    if before in (images, pattern) or "," in before or paths.is_url(pattern):
        return None
    return str(pathlib.PurePath(pattern).parent)


def check_content(
    workdir: pathlib.Path,
    kind: str,
    where: str,
    names: Sequence[str],
    num_held_out: int,
) -> None:
    """Checks that data that was moved is the same files, and notes them.

    Args:
        workdir: run directory.
        kind: 'images' or 'videos'.
        where: what the user named.
        names: of all examples.
        num_held_out: of them that are never trained on.

    Raises:
        ValueError: it lies elsewhere than at the last start, and is not the
            same.
    """
    known = _load_content(workdir)
    digest, num_sizes = _content_digest(where, names)
    found = {
        "path": where,
        "count": len(names),
        "held_out": num_held_out,
        "digest": digest,
    }
    if kind == "images" and paths.needs_tensorflow(where):
        folder = records_in(workdir, where)
        found |= {} if folder is None else {_RECORDS_IN: folder}
    before = known.get(kind)
    if before == found:
        return
    if isinstance(before, dict):
        _check_order(kind, str(before.get("path")), where)
    if isinstance(before, dict) and before.get("digest") != digest:
        counts = f"{before.get('count')} at the start, {len(names)} now"
        # Clips may be folders, which have no size.
        is_of_files = kind == "images" and paths.local_folders(where) == [where]
        if is_of_files and not num_sizes:
            raise FileNotFoundError(
                f"--{kind}={where} holds none of the files that the run "
                "started with. Mount the disk that they are on, or name the "
                "folder where they are."
            )
        if not paths.is_same_place(str(before.get("path")), where):
            raise ValueError(
                f"--{kind}={where} holds other files than the run started "
                f"with in {before.get('path')} ({counts}). Name the same "
                "ones, or start in another --workdir."
            )
        logging.warning(
            "--%s=%s holds other files than at the start (%s): the run goes "
            "on with these, and not to the bit.",
            kind,
            where,
            counts,
        )
    text = json.dumps({**known, kind: found}, indent=2) + "\n"
    atomic_file.write_text(workdir / CONTENT_FILE, text)


def _check_order(kind: str, before: str, where: str) -> None:
    """Raises ValueError where sets of data are named in another order.

    A number would mean another picture from there on.
    """
    ends = [
        [part.rstrip("/").rpartition("/")[2] for part in each.split(",")]
        for each in (before, where)
    ]
    if ends[0] != ends[1] and sorted(ends[0]) == sorted(ends[1]):
        raise ValueError(
            f"--{kind}={where} has another order than the run started with: "
            f"{before}. Name them in that order."
        )


def _content_digest(where: str, names: Sequence[str]) -> tuple[str, int]:
    """Returns a digest of all names, and of the sizes of some of the files.

    And how many of the sizes there were to find.
    """
    digest = hashlib.sha256()
    num_sizes = 0
    ordered = sorted(names)
    spacing = max(1, len(ordered) // _NUM_SIZES)
    for first in range(0, len(ordered), spacing):
        # All at once: there may be a million.
        name, *others = ordered[first : first + spacing]
        digest.update(os.fsencode(name) + b"\0")
        path = os.path.join(where, name)
        with contextlib.suppress(OSError, ValueError):
            if os.path.isfile(path):
                digest.update(str(os.path.getsize(path)).encode())
                num_sizes += 1
        text = "".join([f"{other}\0" for other in others])
        digest.update(os.fsencode(text))
    return digest.hexdigest(), num_sizes


def identity_files(workdir: pathlib.Path) -> list[pathlib.Path]:
    """Returns all that makes a directory that of a run, but for its state.

    The facts that tasks fitted come on top, in a folder of their own.
    """
    names = (CONFIG_FILE, CONTENT_FILE, SECONDS_FILE, _WEIGHTS_FILE)
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
    # `check_content` looks at it once the data is open.
    path = workdir / CONTENT_FILE
    return path.exists() and kind in json_file.load_object(
        path, "Remove it, and name the data where it lay at the start."
    )
