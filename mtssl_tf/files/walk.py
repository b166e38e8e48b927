"""Walks a user's folder, for every reader of files in the same way.

Each real file comes once, however many links lead to it, under its own name
rather than a link's. Hidden files and folders are left out, `._NAME` of macOS
among them. What cannot be read, or is no file (a pipe would be waited on for
ever), is named and left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
import dataclasses
import functools
import os
import time

from absl import logging

from mtssl_tf.files import names

UNSURE = -1  # in place of a folder's time: what it holds may have changed

_Identity = tuple[int, int]  # device and inode

# ours: so soon after a folder has changed it can change again and keep its
# time; FAT counts in steps of two seconds.
_TICK_NS = 2 * 10**9


@dataclasses.dataclass(frozen=True)
class Found:
    """What a walk found.

    Attributes:
        folder: where it began.
        names: of the files wanted, relative to `folder`, sorted by text.
        folders: paths of the folders that were read, `folder` among them,
            sorted by text.
        folder_times: when each of `folders` had last changed, in ns, or
            UNSURE.
        problems: path and reason of what was left out.
    """

    folder: str
    names: tuple[str, ...]
    folders: tuple[str, ...]
    folder_times: tuple[int, ...]
    problems: tuple[tuple[str, str], ...]

    @functools.cached_property
    def files(self) -> tuple[str, ...]:
        """Paths of the files wanted, sorted by text."""
        start = os.path.join(self.folder, "")
        return tuple([start + name for name in self.names])

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


@dataclasses.dataclass(frozen=True)
class Changes:
    """How a folder differs from what was found in it.

    Attributes:
        new: names of files that were not found, relative to the folder.
        gone: names of those found that are not there any more.
        folder_times: as `Found` has them, by now; UNSURE too of a folder in
            which something is new or gone, as it is to be at the next look.
    """

    new: tuple[str, ...]
    gone: tuple[str, ...]
    folder_times: tuple[int, ...]


def files_in(folder: str | os.PathLike, suffixes: tuple[str, ...]) -> Found:
    """Finds files right in a folder; two names of one file are two files.

    Args:
        folder: where to look.
        suffixes: of the files wanted, in small letters.
    """
    reader = _Reader(os.fspath(folder), suffixes)
    listed = reader.read(reader.folder) or _Listed()
    links = filter(reader.is_file_link, listed.file_links)
    names = [*listed.names, *map(reader.name, links)]
    return reader.found(names, {reader.folder: UNSURE})


def files_below(folder: str | os.PathLike, suffixes: tuple[str, ...]) -> Found:
    """Finds files in and below a folder, each real one once.

    Args:
        folder: where to begin.
        suffixes: of the files wanted, in small letters.
    """
    reader = _Reader(os.fspath(folder), suffixes)
    listed, times = _walk(reader, [reader.folder], [], set())
    linked = _new_names(reader, listed.file_links, listed.names)
    return reader.found([*listed.names, *linked], times)


def changes_since(found: Found, suffixes: tuple[str, ...]) -> Changes:
    """Looks at a folder again, and reads only what has changed in it.

    Args:
        found: by `files_below`, in this folder or in one moved here.
        suffixes: that it was asked for.
    """
    reader = _Reader(found.folder, suffixes)
    times: dict[str, int] = {}
    seen: set[_Identity] = set()
    changed = []
    for path, before in zip(found.folders, found.folder_times):
        identity, times[path] = reader.status(path)
        if identity is not None:
            seen.add(identity)
        if UNSURE in (before, times[path]) or times[path] != before:
            changed.append(path)
    if not changed:
        return Changes((), (), found.folder_times)

    known = set(found.names)
    present: set[str] = set()
    new: list[str] = []
    folders, folder_links, file_links = [], [], []
    for path in changed:
        listed = reader.read(path) or _Listed()
        own_links = filter(reader.is_file_link, listed.file_links)
        present.update(listed.names, map(reader.name, own_links))
        new_names = [name for name in listed.names if name not in known]
        new_links = [
            link for link in listed.file_links if reader.name(link) not in known
        ]
        below = [each for each in listed.folders if each not in times]
        links_below = [
            each for each in listed.folder_links if each not in times
        ]
        if new_names or new_links or below or links_below:
            times[path] = UNSURE
        new += new_names
        file_links += new_links
        folders += below
        folder_links += links_below
    more, _ = _walk(reader, folders, folder_links, seen)
    new += more.names
    file_links += more.file_links
    by_name = {reader.name(path): path for path in changed}
    gone = [
        name
        for name in found.names
        if name.rpartition("/")[0] in by_name and name not in present
    ]
    times |= {by_name[name.rpartition("/")[0]]: UNSURE for name in gone}
    new += _new_names(reader, file_links, [*known.difference(gone), *new])
    return Changes(tuple(sorted(new)), tuple(gone), tuple(times.values()))


@dataclasses.dataclass
class _Listed:
    """What folders hold.

    Attributes:
        names: of the files wanted, relative to where the walk began.
        folders: paths of folders.
        file_links: paths of links to what may be a file that is wanted.
        folder_links: paths of links to folders.
    """

    names: list[str] = dataclasses.field(default_factory=list)
    folders: list[str] = dataclasses.field(default_factory=list)
    file_links: list[str] = dataclasses.field(default_factory=list)
    folder_links: list[str] = dataclasses.field(default_factory=list)


def _walk(
    reader: _Reader,
    folders: list[str],
    links: list[str],
    seen: set[_Identity],
) -> tuple[_Listed, dict[str, int]]:
    """Reads folders and all below them, each real one once.

    Args:
        reader: of them.
        folders: paths to begin with.
        links: to folders, which wait until all that is there without them is
            known.
        seen: folders that are read already; gets these.

    Returns:
        All that they hold together, and path -> time of each folder.
    """
    whole = _Listed()
    times: dict[str, int] = {}
    pending, links = list(folders), list(links)
    while pending or links:
        path = pending.pop() if pending else links.pop(0)
        identity, time_ns = reader.status(path)
        if identity is None:
            continue
        if identity in seen:
            reader.leave_out(path, "a link to a folder that is read already")
            continue
        seen.add(identity)
        listed = reader.read(path)
        times[path] = UNSURE if listed is None else time_ns
        if listed is not None:
            whole.names += listed.names
            whole.file_links += listed.file_links
            pending += listed.folders
            links += listed.folder_links
    return whole, times


def _new_names(
    reader: _Reader, links: Iterable[str], names: Iterable[str]
) -> Iterator[str]:
    """Yields the names of linked files that are not in `names` themselves."""
    links = sorted(filter(reader.is_file_link, links))
    if not links:
        return  # the files need not be looked at one by one
    seen = {reader.status(reader.start + name)[0] for name in names}
    for path in links:
        identity, _ = reader.status(path)
        if identity in seen:
            reader.leave_out(path, "a link to a file that is found already")
        else:
            seen.add(identity)
            yield reader.name(path)


class _Reader:
    """Reads folders, and remembers problems.

    Attributes:
        folder: where the walk began.
        start: what every path below it starts with.
    """

    def __init__(self, folder: str, suffixes: tuple[str, ...]) -> None:
        self.folder = folder
        self.start = os.path.join(folder, "")
        self._suffixes = suffixes
        self._problems: list[tuple[str, str]] = []

    def name(self, path: str) -> str:
        """Returns a path relative to the folder; that of itself is ''."""
        return path[len(self.start) :]

    def read(self, folder: str) -> _Listed | None:
        """Returns what a folder itself holds; None where it can't be read."""
        try:
            with os.scandir(folder) as listing:
                entries = list(listing)
        except OSError as error:
            self.leave_out(folder, _reason(error))
            return None
        files: list[str] = []
        listed = _Listed()
        for entry in entries:  # a million of them take a second
            name = entry.name
            if name[0] == ".":
                continue
            if entry.is_file(follow_symlinks=False):
                if name.lower().endswith(self._suffixes):
                    files.append(name)
            elif entry.is_dir(follow_symlinks=False):
                listed.folders.append(entry.path)
            elif entry.is_symlink() and os.path.isdir(entry.path):
                listed.folder_links.append(entry.path)
            elif name.lower().endswith(self._suffixes):
                if entry.is_symlink():
                    listed.file_links.append(entry.path)
                else:
                    self.leave_out(entry.path, "a pipe, socket or device")
        before = self.name(os.path.join(folder, ""))
        listed.names = [before + name for name in sorted(files)]
        for paths in (listed.folders, listed.file_links, listed.folder_links):
            paths.sort()
        return listed

    def is_file_link(self, path: str) -> bool:
        """Says whether a link leads to a file; names it where it does not."""
        if os.path.isfile(path):
            return True
        identity, _ = self.status(path)
        if identity is not None:  # else named already
            self.leave_out(path, "a link to a pipe, socket or device")
        return False

    def status(self, path: str) -> tuple[_Identity | None, int]:
        """Returns what is the same for all paths to a file, and its time.

        None and UNSURE where it cannot be reached; its time is UNSURE too
        where it has only just changed.
        """
        now = time.time_ns()
        try:
            status = os.stat(path)
        except OSError as error:
            self.leave_out(path, _reason(error))
            return None, UNSURE
        time_ns = status.st_mtime_ns
        is_settled = time_ns < now - _TICK_NS
        return (status.st_dev, status.st_ino), time_ns if is_settled else UNSURE

    def leave_out(self, path: str, reason: str) -> None:
        self._problems.append((path, reason))

    def found(self, names: list[str], times: dict[str, int]) -> Found:
        folders = sorted(times)
        return Found(
            self.folder,
            tuple(sorted(names)),
            tuple(folders),
            tuple([times[path] for path in folders]),
            tuple(sorted(set(self._problems))),
        )


def _reason(error: OSError) -> str:
    return error.strerror or str(error)
