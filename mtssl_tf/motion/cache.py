"""Frames and masks of parts of clips on disk, computed once, for training.

An entry is a folder named by everything that decides its content: the clip's
path, size and time of change, which part of it, the settings, the frame size.
So an entry is never stale; a changed clip simply has another name. Entries
appear by an atomic rename: who is killed loses the part that he was at. A lock
keeps two workers from computing the same part. Frames lie once for all
settings (`frame_pool.py`).

Training goes through its clips again and again. A cache that is too small for
all of them must not drop what was used longest ago: that comes next. When it
is full, entries of others that nobody has used for a while go first, then the
most recently used ones; never those that are reserved because they are needed
soon.
"""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterable, Iterator
import contextlib
import fcntl
import functools
import hashlib
import os
import pathlib
import shutil
import threading
import time

from absl import logging
import numpy as np

from mtssl_tf.motion import config as motion_config
from mtssl_tf.motion import entry as entry_lib
from mtssl_tf.motion import frame_pool
from mtssl_tf.motion import labelled_frame
from mtssl_tf.motion import parts
from mtssl_tf.process import atomic_file

MAX_BYTES = 8 * 2**30  # ours
_LAYOUT_VERSION = 2
_ORPHAN_AGE_S = 3600.0
_IDLE_S = 600.0  # ours: an entry of others that was not used for so long goes
_ROOM_SHARE = 0.05  # ours: is freed at once, since looking takes time
_LOCK_INTERVAL_S = 0.02

# A frame's name, the frame, uint8 [H, W, 3] RGB, and bool [H, W]: what moves.
LabelledFrame = tuple[str, np.ndarray, np.ndarray]


class LabelCache:
    """A folder of labelled parts of bounded size.

    Safe to use from many threads, and from many processes by one object each.
    """

    def __init__(
        self,
        folder: str | os.PathLike,
        config: motion_config.MotionConfig,
        short_side_px: int = 160,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        """Makes the folder if it is missing.

        Args:
            folder: where entries are kept.
            config: decides the masks.
            short_side_px: frames are shrunk to this short side, never
                enlarged; masks are computed and stored at that size.
            max_bytes: the bound over all entries. What is needed at once is
                kept even where it alone exceeds the bound.

        Raises:
            OSError: it cannot be written.
            ValueError: a number is below 1.
        """
        for name, value in (
            ("short_side_px", short_side_px),
            ("max_bytes", max_bytes),
        ):
            if value < 1:
                raise ValueError(f"{name} must be at least 1. Got {value}.")
        self.folder = pathlib.Path(folder)
        self.config = config
        self._config_digest = motion_config.config_digest(config)
        self.short_side_px = short_side_px
        self.max_bytes = max_bytes
        self._lock = threading.Lock()
        self._reserved: collections.Counter[str] = collections.Counter()
        self._used: dict[str, entry_lib.Entry] = {}  # here, last use last
        self._num_parts: dict[str, int] = {}  # of the clips used here
        self._is_warned = False
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with open(self.folder / "evict.lock", "a"):
                pass
        except OSError as error:
            raise OSError(
                f"Labelled clips cannot be kept in {self.folder}: "
                f"{error.strerror}. Name another folder with "
                "--set data.cache_dir=DIR."
            ) from error
        self._pool = frame_pool.FramePool(self.folder)
        self._remove_orphans()
        self._num_bytes = 0
        self._num_unseen = max_bytes  # whatever is there: the first one looks

    def name_of(self, clip: parts.IndexedClip, part: parts.Part) -> str:
        """Returns the name of a part's entry."""
        return _digest(
            clip.fingerprint,
            f"{part.first}+{part.num_frames}",
            self._config_digest,
            str(self.short_side_px),
        )

    def frames_key(self, clip: parts.IndexedClip) -> str:
        """Returns what names a clip's frames, whatever masks are made."""
        return _digest(clip.fingerprint, str(self.short_side_px))

    def count_parts(self, clip: parts.IndexedClip) -> None:
        """Takes note of a clip that is used, to tell what all would take."""
        count = len(clip.parts(self.config.window_frames))
        with self._lock:
            self._num_parts[clip.fingerprint] = count

    def find(self, name: str) -> entry_lib.Entry | None:
        """Returns an entry, as the one used last, or None if it is missing."""
        folder = self.folder / name
        try:
            os.utime(folder / entry_lib.INDEX)  # it is still there
            entry = self._used.get(name) or entry_lib.load(folder)
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None  # missing or damaged
        with self._lock:
            self._used.pop(name, None)
            self._used[name] = entry
        return entry

    def drop(self, name: str) -> None:
        """Removes an entry whose files are missing or damaged."""
        with _locked_if_free(self._lock_path(name)) as is_held:
            if is_held:  # else it is being made anew
                found = self.find(name)
                if found:
                    self._pool.forget(found.frames_key, found.names)
                entry_lib.remove(self.folder / name)

    def find_or_make(
        self,
        name: str,
        frames_key: str,
        label: Callable[[], Iterable[LabelledFrame]],
        problem: Callable[[], str],
        check: Callable[[], None],
    ) -> entry_lib.Entry:
        """Returns an entry, made first if it is missing.

        Args:
            name: of the entry.
            frames_key: of its clip.
            label: begins to label the part.
            problem: is asked once all its frames have come.
            check: raises what ends the wait for another worker.
        """
        found = self.find(name)
        if found:
            return found
        with self.reserve(name), self._locked_entry(name, check):
            found = self.find(name)  # another worker was faster
            if found is None:
                self._save(name, frames_key, label, problem)
                found = self.find(name)
                if found is None:
                    raise FileNotFoundError(
                        f"{self.folder / name} was removed as it was made."
                    )
                self._add_up(found.num_bytes)
        return found

    @contextlib.contextmanager
    def reserve(self, name: str) -> Iterator[None]:
        """Keeps an entry, there or still to come, for as long as it lasts."""
        self.hold(name)
        try:
            yield
        finally:
            self.release(name)

    def hold(self, name: str) -> None:
        """Keeps an entry, there or still to come, until `release`."""
        with self._lock:
            self._reserved[name] += 1

    def release(self, name: str) -> None:
        """Takes one `hold` back."""
        with self._lock:
            self._reserved[name] -= 1
            if not self._reserved[name]:
                del self._reserved[name]

    def has_room(self) -> bool:
        """Returns whether one more entry fits beside those that are held."""
        with self._lock:
            mean = self._mean_bytes()
            held = [
                self._used[name].num_bytes if name in self._used else mean
                for name in self._reserved
            ]
        return sum(held) + mean <= self.max_bytes * (1 - _ROOM_SHARE)

    def _mean_bytes(self) -> float:
        sizes = [entry.num_bytes for entry in self._used.values()]
        return sum(sizes) / max(len(sizes), 1)

    def _save(
        self,
        name: str,
        frames_key: str,
        label: Callable[[], Iterable[LabelledFrame]],
        problem: Callable[[], str],
    ) -> None:
        """Computes a part into a scratch folder that becomes the entry."""
        entry = self.folder / name
        try:
            with atomic_file.new_folder(entry) as scratch:
                names, shared = [], 0
                for stem, frame, moving in label():
                    names.append(stem)
                    files = labelled_frame.files(scratch, stem)
                    save = functools.partial(
                        labelled_frame.save_frame, files, frame
                    )
                    shared += self._pool.put(frames_key, stem, files[0], save)
                    labelled_frame.save_mask(files, moving)
                entry_lib.save(scratch, names, problem(), shared, frames_key)
                shutil.rmtree(entry, ignore_errors=True)  # a half-evicted one
        except OSError as error:
            raise OSError(
                f"Could not write labelled frames to {self.folder}: {error}. "
                "Make room there, or name another folder with --set "
                "data.cache_dir=DIR."
            ) from error

    def _add_up(self, num_bytes: int) -> None:
        """Counts a new entry, and makes room where there is too little."""
        with self._lock:
            self._num_bytes += num_bytes
            self._num_unseen += num_bytes
            # Other processes add to it too.
            is_due = self._num_unseen > self.max_bytes * _ROOM_SHARE
            if self._num_bytes <= self.max_bytes and not is_due:
                return
            self._num_unseen = 0
        with _locked(self.folder / "evict.lock"):
            total = self._evict()
            self._remove_orphans()
        with self._lock:
            self._num_bytes = total

    def _evict(self) -> int:
        """Removes what is needed last until the rest fits.

        Returns:
            The bytes of what is left.
        """
        entries = entry_lib.list_entries(self.folder)
        total = self._pool.sweep()
        total += sum(each.num_bytes - each.shared_bytes for _, each in entries)
        if total <= self.max_bytes:
            return total
        with self._lock:
            reserved = set(self._reserved)
            uses = {name: number for number, name in enumerate(self._used)}
        order = []
        for used_s, entry in entries:
            name = entry.folder.name
            is_idle = time.time() - used_s > _IDLE_S
            if name in uses:
                rank = (1, -float(uses[name]))
            else:
                rank = (0, used_s) if is_idle else (2, used_s)
            if name not in reserved:
                order.append((rank, name, entry))
        for rank, name, entry in sorted(order, key=lambda each: each[:2]):
            if total <= self.max_bytes * (1 - _ROOM_SHARE):
                break
            with _locked_if_free(self._lock_path(name)) as is_held:
                if is_held:  # else a worker is about to use it
                    total -= entry.num_bytes - entry.shared_bytes
                    total -= self._pool.release(entry.frames_key, entry.names)
                    entry_lib.remove(entry.folder)
                    if rank[0]:
                        self._warn_too_small()
        if total > self.max_bytes:
            self._warn_too_small()
        return total

    def _warn_too_small(self) -> None:
        if self._is_warned:
            return
        self._is_warned = True
        with self._lock:
            needed = self._mean_bytes() * sum(self._num_parts.values())
            num_clips = len(self._num_parts)
        logging.warning(
            "The cache of labelled clips in %s is full at %.3g GiB: what does "
            "not fit is labelled again each time it is used. The %d clips "
            "used so far would take about %.3g GiB; raise data.cache_gib.",
            self.folder,
            self.max_bytes / 2**30,
            num_clips,
            max(needed, self.max_bytes) / 2**30,
        )

    @contextlib.contextmanager
    def _locked_entry(
        self, name: str, check: Callable[[], None]
    ) -> Iterator[None]:
        """Holds an entry's lock; while another has it, `check` may raise."""
        while True:
            check()
            with _locked_if_free(self._lock_path(name)) as is_held:
                if is_held:
                    yield
                    return
            time.sleep(_LOCK_INTERVAL_S)

    def _lock_path(self, name: str) -> pathlib.Path:
        # They stay for good, so there are few, and entries share them.
        return self.folder / f"{name[:2]}.lock"

    def _remove_orphans(self) -> None:
        """Removes what a killed worker left behind."""
        for scratch in self.folder.glob(f"*{atomic_file.PARTIAL_SUFFIX}"):
            with contextlib.suppress(FileNotFoundError):
                if time.time() - scratch.stat().st_mtime > _ORPHAN_AGE_S:
                    shutil.rmtree(scratch, ignore_errors=True)


def _digest(*facts: str) -> str:
    text = "|".join((str(_LAYOUT_VERSION), *facts))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


@contextlib.contextmanager
def _locked(path: pathlib.Path) -> Iterator[None]:
    """Holds an exclusive lock between threads and processes of one machine."""
    with open(path, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # released when the file closes
        yield


@contextlib.contextmanager
def _locked_if_free(path: pathlib.Path) -> Iterator[bool]:
    """Holds the lock if nobody else does; yields whether it is held."""
    with open(path, "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            is_held = True
        except BlockingIOError:
            is_held = False
        yield is_held
