"""A folder of numbered checkpoints: which are whole, and how they are read.

Beside TensorFlow's files of a checkpoint lies a record of them, written last:
their sizes and digests, and the format. Which checkpoints there are is seen
from the folder itself: TensorFlow's own list, the file `checkpoint`, can be
lost or empty, and is written for others only. Checkpoints of earlier versions
have no record; they are whole if all of them can be read.
"""

from __future__ import annotations

import hashlib
import json
import os
import pathlib
import re

from absl import logging
import tensorflow as tf

from mtssl_tf import version
from mtssl_tf.files import json_file
from mtssl_tf.process import atomic_file
from mtssl_tf.process import paths

# 1 had no record, 2 no moving statistics of a cluster's groups.
FORMAT = 3
_START = "ckpt-"  # of all names; then comes the number
_FILE = re.compile(rf"{_START}(\d+)\.(index|json|data-\d{{5}}-of-\d{{5}})")
_LEFTOVER = re.compile(rf"{_START}\d+(_temp|\.(index|data-.*)\.tempstate\d+)")
_LIST_FILE = "checkpoint"
_DAMAGED_SUFFIX = ".damaged"


class DamagedError(ValueError):
    """A checkpoint cannot be used."""


class CheckpointFolder:
    """Saves a run's state now and then, and goes back to the newest one."""

    def __init__(
        self,
        folder: pathlib.Path,
        checkpoint: tf.train.Checkpoint,
        keep: int,
    ) -> None:
        """Takes a folder, which this process alone writes.

        Args:
            folder: made when the first one is saved.
            checkpoint: of all that going on to the bit needs.
            keep: how many whole ones are kept.
        """
        self._folder = folder
        self._checkpoint = checkpoint
        self._keep = keep

    @property
    def folder(self) -> pathlib.Path:
        """Where the checkpoints are."""
        return self._folder

    def save(self, number: int) -> str:
        """Saves the state under a number; old ones are removed after that.

        Returns:
            The checkpoint's path, without the suffixes of its files.

        Raises:
            OSError: it cannot be written, or reads otherwise than it was
                written.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        self._checkpoint.save_counter.assign_add(1)
        path = path_of(self._folder, number)
        _record_path(path).unlink(missing_ok=True)  # of another one
        try:
            with paths.without_pattern(self._folder) as plain:
                self._checkpoint.write(f"{plain}/{path.name}")
            for file in files_of(path):
                _sync(file)
            _check_by_reading(path)
            record = {
                "format": FORMAT,
                "version": version.VERSION,
                "files": {
                    file.name: _describe(file) for file in files_of(path)
                },
            }
            atomic_file.write_text(
                _record_path(path), json.dumps(record, indent=1) + "\n"
            )
        except (tf.errors.OpError, DamagedError) as error:
            self._remove_leftovers()
            raise OSError(
                f"The checkpoint in {self._folder} could not be written: "
                f"{_message(error)}. Free some space and run the same command "
                "again; it goes on from the last checkpoint."
            ) from error
        except OSError:
            self._remove_leftovers()
            raise
        self._prune(number)
        return str(path)

    def restore(self) -> int | None:
        """Goes to the newest whole checkpoint.

        Damaged ones that are newer are put aside, under names that end in
        `.damaged`, and what is lost with them is said.

        Returns:
            Its number; None where there is none.

        Raises:
            ValueError: all are damaged, or it is of a later version, or of
                another run.
        """
        path = self.find()
        if path is None:
            return None
        self.restore_from(path)
        return number_of(path)

    def restore_from(self, path: str, is_partial: bool = False) -> None:
        """Goes to the checkpoint that `find` gave; see `restore` below."""
        restore(self._checkpoint, path, is_partial)

    def find(self) -> str | None:
        """As `restore`, without going there; returns the path, or None."""
        self._remove_leftovers()
        path = newest(self._folder)
        if path is None:
            return None
        for number in numbers(self._folder):
            if number > number_of(path):
                for file in files_of(path_of(self._folder, number)):
                    file.rename(file.with_name(file.name + _DAMAGED_SUFFIX))
        return path

    def _prune(self, newest_number: int) -> None:
        """Keeps the last ones up to the one that was just written."""
        # Later ones are of a future that was given up.
        kept = [n for n in numbers(self._folder) if n <= newest_number]
        kept = kept[: self._keep]
        write_list(self._folder, kept)
        for number in numbers(self._folder):
            if number not in kept:
                for file in files_of(path_of(self._folder, number)):
                    file.unlink(missing_ok=True)

    def _remove_leftovers(self) -> None:
        """Removes what a process that was killed has left half-written."""
        if not self._folder.is_dir():
            return
        atomic_file.remove_partials_in(self._folder)
        for path in self._folder.iterdir():
            if _LEFTOVER.fullmatch(path.name):
                atomic_file.remove(path)


def path_of(folder: pathlib.Path, number: int) -> pathlib.Path:
    """Returns the path of a checkpoint, which its files' names begin with."""
    return folder / f"{_START}{number}"


def number_of(path: str) -> int:
    """Returns the number of the checkpoint at `path`."""
    return int(path.rpartition("-")[2])


def numbers(folder: pathlib.Path) -> list[int]:
    """Returns the numbers of all checkpoints, whole or not, newest first."""
    if not folder.is_dir():
        return []
    found = {
        int(match[1])
        for name in os.listdir(folder)
        if (match := _FILE.fullmatch(name))
    }
    return sorted(found, reverse=True)


def write_list(folder: pathlib.Path, kept: list[int]) -> None:
    """Writes TensorFlow's own list, of these numbers, the newest first."""
    names = [path_of(folder, number).name for number in kept]
    lines = [f'model_checkpoint_path: "{names[0]}"']
    lines += [
        f'all_model_checkpoint_paths: "{name}"' for name in reversed(names)
    ]
    atomic_file.write_text(folder / _LIST_FILE, "\n".join(lines) + "\n")


def newest(folder: pathlib.Path) -> str | None:
    """Returns the path of the newest whole checkpoint; None without any.

    Nothing is changed: it may be another process's folder. What is lost with
    newer ones that are damaged is logged.

    Raises:
        ValueError: all are damaged, or it is of a later version.
    """
    damaged: list[tuple[int, str]] = []
    for number in numbers(folder):
        path = path_of(folder, number)
        try:
            check(path)
        except DamagedError as error:
            damaged.append((number, str(error)))
            continue
        for lost, reason in damaged:
            logging.warning(
                "%s is damaged (%s). What was done between %d and %d is "
                "lost; %s is whole and is used.",
                path_of(folder, lost),
                reason,
                number,
                lost,
                path,
            )
        return str(path)
    if damaged:
        raise DamagedError(
            f"No checkpoint in {folder} is whole: "
            + "; ".join(
                f"{path_of(folder, lost).name}: {reason}"
                for lost, reason in damaged
            )
            + ". Bring back a copy of them, or remove that folder to start "
            "over."
        )
    return None


def check(path: pathlib.Path) -> None:
    """Checks that a checkpoint's files are as they were written.

    Raises:
        DamagedError: they are not; says which.
        ValueError: a later version wrote it.
    """
    record_path = _record_path(path)
    if not record_path.is_file():
        _check_by_reading(path)
        return
    try:
        record = json_file.load_object(record_path, "")
        files = dict(record["files"])
        found_format = int(record["format"])
    except (ValueError, KeyError, TypeError):
        # The record can be lost; what it is of is then read whole.
        _check_by_reading(path)
        return
    if found_format > FORMAT:
        raise ValueError(
            f"{path} has format {found_format}, of version "
            f"{record.get('version')} of mtssl_tf; version {version.VERSION} "
            f"reads up to {FORMAT}. Use that version."
        )
    there = {file.name for file in files_of(path)} - {record_path.name}
    has_data = any(name.startswith(f"{path.name}.data-") for name in files)
    if f"{path.name}.index" not in files or not has_data or there - set(files):
        # It does not vouch for all that it is of.
        _check_by_reading(path)
        return
    for name, wanted in files.items():
        file = path.with_name(name)
        if not file.is_file():
            raise DamagedError(f"{name} is missing")
        found = _describe(file)
        if found != wanted:
            raise DamagedError(
                f"{name} has other bytes than were written, "
                f"{found['bytes']} of them for {wanted['bytes']}"
            )


def restore(
    checkpoint: tf.train.Checkpoint, path: str, is_partial: bool = False
) -> None:
    """Restores from a path that `newest` gave.

    Args:
        checkpoint: gets its values.
        path: of a whole one.
        is_partial: whether the file may hold more than `checkpoint` asks for.

    Raises:
        ValueError: it is of another model.
    """
    folder, name = os.path.split(path)
    with paths.without_pattern(pathlib.Path(folder)) as plain:
        try:
            status = checkpoint.restore(f"{plain}/{name}")
            if is_partial:
                status.expect_partial().assert_existing_objects_matched()
            else:
                status.assert_consumed()
        except (AssertionError, ValueError) as error:
            raise ValueError(
                f"{path} is of another model or version: {_message(error)}. "
                "Name another folder, or use the version in its config.json."
            ) from error


def variable_names(path: str) -> list[str]:
    """Returns the names of all that a checkpoint holds."""
    folder, name = os.path.split(path)
    with paths.without_pattern(pathlib.Path(folder)) as plain:
        return [key for key, _ in tf.train.list_variables(f"{plain}/{name}")]


def _check_by_reading(path: pathlib.Path) -> None:
    """Reads every tensor, whose checksums TensorFlow compares.

    Raises:
        DamagedError: one cannot be read.
    """
    if not path.with_name(f"{path.name}.index").is_file():
        raise DamagedError(f"{path.name}.index is missing")
    try:
        with paths.without_pattern(path.parent) as plain:
            reader = tf.train.load_checkpoint(f"{plain}/{path.name}")
            for name in reader.get_variable_to_shape_map():
                reader.get_tensor(name)
    except (
        tf.errors.OpError,
        ValueError,
        RuntimeError,
        IndexError,
        MemoryError,  # it takes as much as the file claims to need
    ) as error:
        raise DamagedError(_message(error)) from error


def _message(error: BaseException) -> str:
    text = error.message if isinstance(error, tf.errors.OpError) else str(error)
    return " ".join(text.split()).rstrip(".")[:300]


def _record_path(path: pathlib.Path) -> pathlib.Path:
    return path.with_name(f"{path.name}.json")


def files_of(path: pathlib.Path) -> list[pathlib.Path]:
    """Returns a checkpoint's files; the record, which vouches, comes first."""
    names = [
        name
        for name in os.listdir(path.parent)
        if _FILE.fullmatch(name) and name.startswith(f"{path.name}.")
    ]
    names.sort(key=lambda name: (not name.endswith(".json"), name))
    return [path.with_name(name) for name in names]


def _describe(file: pathlib.Path) -> dict[str, object]:
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
        return {"bytes": stream.tell(), "sha256": digest}


def _sync(path: pathlib.Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
