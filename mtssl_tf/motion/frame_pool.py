"""Frames of clips on disk, once for all settings of their masks.

A frame is the same whatever masks are made of it. It lies in the pool, and by
a hard link in every entry that shows it; on a disk without hard links every
entry has a copy of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
import contextlib
import os
import pathlib

_FOLDER = "frames"


class FramePool:
    """A folder of frames, by clip and size.

    Safe to use from many threads and processes.
    """

    def __init__(self, folder: pathlib.Path) -> None:
        self._folder = folder / _FOLDER

    def put(
        self,
        key: str,
        name: str,
        to: pathlib.Path,
        save: Callable[[], None],
    ) -> int:
        """Makes an entry's file of a frame.

        Args:
            key: of clip and size.
            name: of the frame.
            to: file to make.
            save: makes it where the pool lacks the frame.

        Returns:
            Bytes of it that others can share; 0 where links cannot be.
        """
        pooled = self._path(key, name)
        with contextlib.suppress(OSError):
            os.link(pooled, to)
            return to.stat().st_size
        save()
        try:
            pooled.parent.mkdir(parents=True, exist_ok=True)
            os.link(to, pooled)
        except OSError:  # another was faster, or there are no links
            return 0
        return to.stat().st_size

    def forget(self, key: str, names: Iterable[str]) -> None:
        """Takes frames out for good: they may be damaged."""
        for name in names:
            self._path(key, name).unlink(missing_ok=True)

    def release(self, key: str, names: Iterable[str]) -> int:
        """Takes out what no entry but one about to go shows.

        Returns:
            The bytes that become free with that entry.
        """
        freed = 0
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                path = self._path(key, name)
                facts = path.stat()
                if facts.st_nlink <= 2:  # here, and in that entry
                    path.unlink()
                    freed += facts.st_size
        return freed

    def sweep(self) -> int:
        """Takes out what no entry shows; returns the bytes of the rest."""
        total = 0
        for path in self._folder.glob("*/*"):
            with contextlib.suppress(FileNotFoundError):
                facts = path.stat()
                if facts.st_nlink < 2:
                    path.unlink()
                else:
                    total += facts.st_size
        return total

    def _path(self, key: str, name: str) -> pathlib.Path:
        return self._folder / key / f"{name}.jpg"
