"""Walks a user's folder, for every reader of files in the same way.

Each real file comes once, however many links lead to it, under its own name
rather than a link's. Hidden files and folders are left out, `._NAME` of macOS
among them. What cannot be read, or is no file (a pipe would be waited on for
ever), is named and left out.
"""

from __future__ import annotations

from collections.abc import Iterator
import dataclasses
import os

from absl import logging

from mtssl_tf.files import names

_Identity = tuple[int, int]  # device and inode


@dataclasses.dataclass(frozen=True)
class Found:
    """What a walk found.

    Attributes:
        folder: where it began.
        files: paths of the files wanted, sorted by text.
        folders: paths of the folders that were read, `folder` among them,
            sorted by text.
        problems: path and reason of what was left out.
    """

    folder: str
    files: tuple[str, ...]
    folders: tuple[str, ...]
    problems: tuple[tuple[str, str], ...]

    def describe_problems(self) -> str:
        """Returns '' or a sentence that counts and names what is left out."""
        if not self.problems:
            return ""
        listed = names.some([f"{path} ({why})" for path, why in self.problems])
        return (
            f"Left out {len(self.problems)} entries of "
            f"{names.shown(self.folder)}: {listed}."
        )

    def log_problems(self) -> None:
        """Says in the log what is left out, if anything is."""
        if self.problems:
            logging.warning("%s", self.describe_problems())


def files_in(folder: str | os.PathLike, suffixes: tuple[str, ...]) -> Found:
    """Finds files right in a folder; two names of one file are two files.

    Args:
        folder: where to look.
        suffixes: of the files wanted, in small letters.
    """
    reader = _Reader(os.fspath(folder), suffixes)
    files, _ = reader.read(reader.folder)
    files += [path for path in reader.file_links if reader.is_file_link(path)]
    return reader.found(files, [reader.folder])


def files_below(folder: str | os.PathLike, suffixes: tuple[str, ...]) -> Found:
    """Finds files in and below a folder, each real one once.

    Args:
        folder: where to begin.
        suffixes: of the files wanted, in small letters.
    """
    reader = _Reader(os.fspath(folder), suffixes)
    files: list[str] = []
    folders: list[str] = []
    seen: set[_Identity] = set()
    # Links wait until all that is there without them is known.
    pending = [reader.folder]
    while pending or reader.folder_links:
        path = pending.pop() if pending else reader.folder_links.pop(0)
        identity = reader.identity(path)
        if identity is None:
            continue
        if identity in seen:
            reader.leave_out(path, "a link to a folder that is read already")
            continue
        seen.add(identity)
        folders.append(path)
        more, below = reader.read(path)
        files += more
        pending += below
    return reader.found(files + list(_new_files(reader, files)), folders)


def _new_files(reader: _Reader, files: list[str]) -> Iterator[str]:
    """Yields the linked files that are not among `files` themselves."""
    links = sorted(filter(reader.is_file_link, reader.file_links))
    if not links:
        return  # the files need not be looked at one by one
    seen = {reader.identity(path) for path in files}
    for path in links:
        identity = reader.identity(path)
        if identity in seen:
            reader.leave_out(path, "a link to a file that is found already")
        else:
            seen.add(identity)
            yield path


class _Reader:
    """Reads folders, and remembers links and problems."""

    def __init__(self, folder: str, suffixes: tuple[str, ...]) -> None:
        self.folder = folder
        self.folder_links: list[str] = []
        self.file_links: list[str] = []
        self._suffixes = suffixes
        self._problems: list[tuple[str, str]] = []

    def read(self, folder: str) -> tuple[list[str], list[str]]:
        """Returns a folder's own files and folders; links are kept apart."""
        files: list[str] = []
        folders: list[str] = []
        try:
            with os.scandir(folder) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError as error:
            self.leave_out(folder, _reason(error))
            return files, folders
        for entry in entries:
            if entry.name.startswith("."):
                continue
            is_wanted = entry.name.lower().endswith(self._suffixes)
            if entry.is_symlink():
                if os.path.isdir(entry.path):
                    self.folder_links.append(entry.path)
                elif is_wanted:
                    self.file_links.append(entry.path)
            elif entry.is_dir(follow_symlinks=False):
                folders.append(entry.path)
            elif is_wanted and entry.is_file(follow_symlinks=False):
                files.append(entry.path)
            elif is_wanted:
                self.leave_out(entry.path, "a pipe, socket or device")
        return files, folders

    def is_file_link(self, path: str) -> bool:
        """Says whether a link leads to a file; names it where it does not."""
        if os.path.isfile(path):
            return True
        is_there = self.identity(path) is not None  # else named already
        if is_there:
            self.leave_out(path, "a link to a pipe, socket or device")
        return False

    def identity(self, path: str) -> _Identity | None:
        """Returns what is one and the same for all paths to a file."""
        try:
            status = os.stat(path)
        except OSError as error:
            self.leave_out(path, _reason(error))
            return None
        return status.st_dev, status.st_ino

    def leave_out(self, path: str, reason: str) -> None:
        self._problems.append((path, reason))

    def found(self, files: list[str], folders: list[str]) -> Found:
        return Found(
            self.folder,
            tuple(sorted(files)),
            tuple(sorted(folders)),
            tuple(sorted(set(self._problems))),
        )


def _reason(error: OSError) -> str:
    return error.strerror or str(error)
