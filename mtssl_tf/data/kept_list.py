"""The list of a folder's pictures that a run keeps for its later starts.

A folder of a million pictures takes seconds to list, and minutes on a network
disk. And it may change: a resumed run goes on to the bit only with the
pictures that it began with. So a run keeps its list. Later starts ask each
folder when it last changed, and read those alone that have.
"""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses
import os
import pathlib
import zipfile

from absl import logging
import numpy as np

from mtssl_tf.data import source as source_lib
from mtssl_tf.files import names as names_lib
from mtssl_tf.files import walk
from mtssl_tf.process import atomic_file


class KeptList:
    """Lists a folder, or takes the list that an earlier start has kept.

    Beside the names lie their hashes, which a million takes half a second to
    make.
    """

    def __init__(self, path: pathlib.Path) -> None:
        """Reads nothing yet; `path` is that of the list."""
        self._path = path
        self._unsaved: walk.Found | None = None
        self._hashes: np.ndarray | None = None

    def files_below(
        self, folder: str | os.PathLike, suffixes: tuple[str, ...]
    ) -> walk.Found:
        """Does what `walk.files_below` does, at the first start.

        Later it returns what was found then, with a word in the log on what
        is new in the folder and what is gone.

        Raises:
            ValueError: the list is damaged; or the folder has moved, and some
                of its files are gone.
        """
        folder = os.fspath(folder)
        if not self._path.exists():
            self._unsaved = walk.files_below(folder, suffixes)
            return self._unsaved
        found, place = self._load(folder)
        is_moved = place != os.path.realpath(folder)
        if is_moved:  # times tell nothing of another disk
            unsure = (walk.UNSURE,) * len(found.folders)
            found = dataclasses.replace(found, folder_times=unsure)
        changes = walk.changes_since(found, suffixes)
        if is_moved and changes.gone:
            raise ValueError(
                f"--images={folder} holds other files than the run started "
                f"with in {place}: {len(changes.gone)} of {len(found.names)} "
                f"are not there, {names_lib.some(changes.gone)}. Name the "
                "same ones, or start in another --workdir."
            )
        _log_changes(folder, changes)
        if is_moved or changes.folder_times != found.folder_times:
            self._unsaved = dataclasses.replace(
                found, folder_times=changes.folder_times
            )
        return found

    def hash_names(self, names: Sequence[str]) -> np.ndarray:
        """Returns `source.hash_names` of the names that were listed."""
        if self._hashes is None:
            self._hashes = source_lib.hash_names(names)
        return self._hashes

    def save(self) -> None:
        """Keeps the list, once all else has found nothing wrong with it.

        Raises:
            OSError: it cannot be written.
        """
        found = self._unsaved
        if found is None:
            return
        start = len(os.path.join(found.folder, ""))
        with atomic_file.open_new(self._path) as file:
            np.savez(
                file,
                place=_pack([os.path.realpath(found.folder)]),
                names=_pack(found.names),
                folders=_pack([path[start:] for path in found.folders]),
                folder_times=np.array(found.folder_times, np.int64),
                hashes=self.hash_names(names_lib.all_as_text(found.names)),
            )
        self._unsaved = None

    def _load(self, folder: str) -> tuple[walk.Found, str]:
        """Returns the list, as of `folder`, and where it was made."""
        try:
            with np.load(self._path) as stored:
                (place,) = _unpack(stored["place"])
                names = tuple(_unpack(stored["names"]))
                folders = _unpack(stored["folders"])
                times = tuple(stored["folder_times"].tolist())
                self._hashes = stored["hashes"]
            counts = len(folders), len(times), len(names), len(self._hashes)
            if counts[0] != counts[1] or counts[2] != counts[3]:
                raise ValueError(f"its parts have lengths {counts}")
        except (ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise ValueError(
                f"{self._path} is no list of pictures: {error}. Remove it: the "
                "folder is then listed again, and the run goes on with what "
                "is there now."
            ) from error
        paths = [
            os.path.join(folder, each) if each else folder for each in folders
        ]
        return walk.Found(folder, names, tuple(paths), times, ()), place


def _log_changes(folder: str, changes: walk.Changes) -> None:
    if changes.new:
        logging.warning(
            "--images=%s has %d files that were not there when the run began. "
            "It goes on without them; a run in a new --workdir takes them: %s.",
            names_lib.shown(folder),
            len(changes.new),
            names_lib.some(changes.new),
        )
    if changes.gone:
        logging.warning(
            "%d files of --images=%s are gone since the run began: %s. Others "
            "are used in their place, so that it does not go on to the bit.",
            len(changes.gone),
            names_lib.shown(folder),
            names_lib.some(changes.gone),
        )


def _pack(names: Sequence[str]) -> np.ndarray:
    """Returns names as bytes, uint8 [n], with a NUL after each."""
    text = "".join([f"{name}\0" for name in names])
    return np.frombuffer(names_lib.as_bytes(text), np.uint8)


def _unpack(packed: np.ndarray) -> list[str]:
    return os.fsdecode(packed.tobytes()).split("\0")[:-1]
