"""The list of a folder's pictures that a run keeps for its later starts.

A folder of a million pictures takes seconds to list, and minutes on a network
disk. And it may change: a resumed run goes on to the bit only with the
pictures that it began with. So a run keeps its list. Later starts ask each
folder when it last changed, and read those alone that have.
"""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses
import hashlib
import io
import os
import pathlib

from absl import logging
import numpy as np

from mtssl_tf.data import listing
from mtssl_tf.data import source as source_lib
from mtssl_tf.files import names as names_lib
from mtssl_tf.files import walk
from mtssl_tf.files import whole_file
from mtssl_tf.process import atomic_file
from mtssl_tf.process import paths

FORMAT = 1
_DIGEST_BYTES = 32  # of SHA-256, before all else in the file


class KeptList:
    """Lists a folder, or takes the list that an earlier start has kept.

    Beside the names lie their hashes, which a million takes half a second to
    make.
    """

    def __init__(self, path: pathlib.Path) -> None:
        """Reads nothing yet; `path` is that of the list."""
        self._path = path
        self._unsaved: walk.Found | None = None
        self._gone: tuple[str, ...] = ()
        self._hashes: np.ndarray | None = None
        self.num_names = 0

    def files_below(
        self, folder: str | os.PathLike, suffixes: tuple[str, ...]
    ) -> walk.Found:
        """Does what `listing.files_below` does, at the first start.

        Later it returns what was found then, with a word in the log on what
        is new in the folder and what is gone.

        Raises:
            ValueError: the list is damaged, or of a later version; or the
                folder has moved, and some of its files are gone.
        """
        folder = os.fspath(folder)
        if not self._path.exists():
            self._unsaved = listing.files_below(folder, suffixes)
            self.num_names = len(self._unsaved.names)
            return self._unsaved
        found, place = self._load(folder)
        self.num_names = len(found.names)
        is_moved = place != paths.identity(folder)
        if is_moved:  # times tell nothing of another disk
            unsure = (walk.UNSURE,) * len(found.folders)
            found = dataclasses.replace(found, folder_times=unsure)
        changes = listing.changes_since(found, suffixes)
        lost = sorted(set(changes.gone) - set(self._gone))
        if is_moved and lost:
            raise ValueError(
                f"--images={folder} holds other files than the run started "
                f"with in {place}: {len(lost)} of {len(found.names)} are not "
                f"there, {names_lib.some(lost)}. Name the same ones, or start "
                "in another --workdir."
            )
        _log_changes(folder, changes)
        now = dataclasses.replace(found, folder_times=changes.folder_times)
        if is_moved or now != found or changes.gone != self._gone:
            self._unsaved, self._gone = now, changes.gone
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
        buffer = io.BytesIO()
        np.savez(
            buffer,
            format=np.array(FORMAT),
            place=_pack([paths.identity(found.folder)]),
            names=_pack(found.names),
            gone=_pack(self._gone),
            folders=_pack([path[start:] for path in found.folders]),
            folder_times=np.array(found.folder_times, np.int64),
            hashes=self.hash_names(names_lib.all_as_text(found.names)),
        )
        data = buffer.getvalue()
        with atomic_file.open_new(self._path) as file:
            file.write(hashlib.sha256(data).digest())
            file.write(data)
        self._unsaved = None

    def _load(self, folder: str) -> tuple[walk.Found, str]:
        """Returns the list, as of `folder`, and where it was made."""
        whole = whole_file.load(self._path)
        digest, data = whole[:_DIGEST_BYTES], whole[_DIGEST_BYTES:]
        if hashlib.sha256(data).digest() != digest:
            raise ValueError(
                f"{self._path} is damaged: its {len(whole)} bytes are not "
                "those that were written. Remove it: the folder is then "
                "listed again, and the run goes on with what is there now."
            )
        with np.load(io.BytesIO(data)) as stored:
            if (found_format := int(stored["format"])) > FORMAT:
                raise ValueError(
                    f"{self._path} has format {found_format}, and this "
                    f"version of mtssl_tf reads up to {FORMAT}. Use the "
                    "version that began the run, or a later one."
                )
            (place,) = _unpack(stored["place"])
            names = tuple(_unpack(stored["names"]))
            folders = _unpack(stored["folders"])
            self._gone = tuple(_unpack(stored["gone"]))
            times = tuple(stored["folder_times"].tolist())
            self._hashes = stored["hashes"]
        paths = [
            os.path.join(folder, each) if each else folder for each in folders
        ]
        return walk.Found(folder, names, tuple(paths), times, ()), place


class KeptLists:
    """A list for each place of pictures that a run has."""

    def __init__(self, path: pathlib.Path) -> None:
        """Reads nothing yet; `path` is that of the first list."""
        self._path = path
        self._lists: dict[str, KeptList] = {}

    def files_below(
        self, folder: str | os.PathLike, suffixes: tuple[str, ...]
    ) -> walk.Found:
        """Does what `KeptList.files_below` does, for any of the places.

        They are known by the order in which they are asked for first.
        """
        place, number = os.fspath(folder), len(self._lists)
        if place not in self._lists:
            path = self._path
            if number:
                path = path.with_name(f"{path.name}.{number}")
            self._lists[place] = KeptList(path)
        return self._lists[place].files_below(place, suffixes)

    def hash_names(self, names: Sequence[str]) -> np.ndarray:
        """Returns `source.hash_names` of the names of all pictures."""
        if len(self._lists) == 1:
            (kept,) = self._lists.values()
            if kept.num_names == len(names):
                return kept.hash_names(names)
        return source_lib.hash_names(names)

    def save(self) -> None:
        """Keeps all lists.

        Raises:
            OSError: one cannot be written.
        """
        for kept in self._lists.values():
            kept.save()

    def forget(self) -> None:
        """Removes what a start has kept that failed."""
        for path in self._path.parent.glob(f"{self._path.name}*"):
            path.unlink()


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
