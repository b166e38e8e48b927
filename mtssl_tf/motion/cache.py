"""Frames and masks of a clip on disk, computed once, for training.

An entry is a folder named by everything that decides its content: the clip's
path, size and time of change, the settings, the frame size. So an entry is
never stale; a changed clip simply has another name. Entries appear by an
atomic rename; a lock file per entry keeps two workers from computing the same
clip, and those used longest ago go first when the cache is full.
"""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import dataclasses
import fcntl
import hashlib
import json
import os
import pathlib
import shutil
import time

import cv2
import numpy as np

from mtssl_tf.motion import clips
from mtssl_tf.motion import config as motion_config
from mtssl_tf.motion import stream
from mtssl_tf.process import atomic_file

MAX_BYTES = 8 * 2**30  # ours
JPEG_QUALITY = 95  # ours
_LAYOUT_VERSION = 1
_INDEX = "entry.json"
_ORPHAN_AGE_S = 3600.0


@dataclasses.dataclass(frozen=True)
class CacheConfig:
    """What is stored, and how much of it."""

    short_side_px: int = 160
    every: int = 1  # every n-th frame that has a mask
    max_bytes: int = MAX_BYTES

    def __post_init__(self) -> None:
        for name in ("short_side_px", "every", "max_bytes"):
            if getattr(self, name) < 1:
                raise ValueError(
                    f"{name} must be at least 1. Got {getattr(self, name)}."
                )


def clip_fingerprint(clip: clips.Clip) -> str:
    """Returns a digest that changes when a clip's files change."""
    files = clips.frame_paths(clip.path) if clip.is_folder else [clip.path]
    digest = hashlib.sha256(str(clip.path.resolve()).encode())
    for file in files:
        stat = file.stat()
        digest.update(f"{file.name}|{stat.st_size}|{stat.st_mtime_ns}".encode())
    return digest.hexdigest()


def labelled_clip(
    clip: clips.Clip,
    config: motion_config.MotionConfig,
    cache_dir: str | os.PathLike,
    short_side_px: int = 160,
    *,
    every: int = 1,
    max_bytes: int = MAX_BYTES,
) -> list[tuple[pathlib.Path, pathlib.Path]]:
    """Returns (frame, mask) files of a clip, computing them if need be.

    Safe to call from many threads and processes at once. Files can be evicted
    by a later call, once the cache is full: who finds one gone calls again.

    Args:
        clip: one of `list_clips`.
        config: decides the masks.
        cache_dir: is made if it is missing.
        short_side_px: frames are shrunk to this short side, never enlarged;
            masks are computed and stored at that size.
        every: keeps every n-th frame whose mask is known.
        max_bytes: the cache's bound, over all its entries. The entry that is
            asked for stays even where it alone exceeds the bound.

    Returns:
        One pair a kept frame, in their order: a JPEG and a PNG of 0 and 255.
        Empty if the clip has no frame whose motion can be known.
    """
    settings = CacheConfig(short_side_px, every, max_bytes)
    root = pathlib.Path(cache_dir)
    root.mkdir(parents=True, exist_ok=True)
    key = _entry_key(clip, config, settings)
    entry = root / key
    with _locked(_lock_path(entry)):
        is_new = not (entry / _INDEX).is_file()
        if is_new:
            _save_entry(clip, config, settings, entry)
        os.utime(entry / _INDEX)  # the time of the last use
        names = json.loads((entry / _INDEX).read_text())["names"]
    if is_new:
        _evict(root, settings.max_bytes, keep=key)
    return [(entry / f"{n}.jpg", entry / f"{n}.png") for n in names]


def _entry_key(
    clip: clips.Clip, config: motion_config.MotionConfig, settings: CacheConfig
) -> str:
    parts = (
        str(_LAYOUT_VERSION),
        clip_fingerprint(clip),
        motion_config.config_digest(config),
        str(settings.short_side_px),
        str(settings.every),
    )
    return hashlib.sha256("|".join(parts).encode()).hexdigest()[:32]


def _save_entry(
    clip: clips.Clip,
    config: motion_config.MotionConfig,
    settings: CacheConfig,
    entry: pathlib.Path,
) -> None:
    """Computes a clip into a scratch folder that becomes `entry`."""
    with atomic_file.new_folder(entry) as scratch:
        names = []
        frames = clips.read_frames(clip, settings.short_side_px)
        for index, frame, mask in stream.iterate_masks(frames, config):
            if mask.is_known and index % settings.every == 0:
                names.append(f"{index:06d}")
                _save_pair(scratch / names[-1], frame, mask.moving)
        index_text = json.dumps(
            {
                "clip": str(clip.path),
                "problem": frames.problem,
                "names": names,
                "bytes": sum(f.stat().st_size for f in scratch.iterdir()),
            }
        )
        (scratch / _INDEX).write_text(index_text)
        shutil.rmtree(entry, ignore_errors=True)  # a half-evicted entry


def _save_pair(stem: pathlib.Path, frame: np.ndarray, moving: np.ndarray):
    bgr = cv2.cvtColor(frame, cv2.COLOR_RGB2BGR)
    quality = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    mask = np.where(moving, np.uint8(255), np.uint8(0))
    for path, picture, options in (
        (f"{stem}.jpg", bgr, quality),
        (f"{stem}.png", mask, []),
    ):
        if not cv2.imwrite(path, picture, options):
            raise OSError(
                f"Could not write {path}. Is the disk full, or cache_dir "
                "read-only?"
            )


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


def _evict(root: pathlib.Path, max_bytes: int, keep: str) -> None:
    """Removes entries, oldest use first, until the rest fits."""
    with _locked(root / "evict.lock"):
        entries = []
        for index in root.glob(f"*/{_INDEX}"):
            with contextlib.suppress(FileNotFoundError):
                size = json.loads(index.read_text())["bytes"]
                entries.append((index.stat().st_mtime_ns, size, index.parent))
        total = sum(size for _, size, _ in entries)
        for _, size, entry in sorted(entries):
            if total <= max_bytes:
                break
            if entry.name != keep:
                with _locked_if_free(_lock_path(entry)) as is_held:
                    if is_held:  # else a worker is about to use it
                        _remove(entry)
                        total -= size
        _remove_orphans(root)


def _lock_path(entry: pathlib.Path) -> pathlib.Path:
    return entry.with_name(f"{entry.name}.lock")


def _remove(entry: pathlib.Path) -> None:
    # The index goes first: half an entry is no entry.
    (entry / _INDEX).unlink(missing_ok=True)
    shutil.rmtree(entry, ignore_errors=True)


def _remove_orphans(root: pathlib.Path) -> None:
    """Removes what a killed worker left behind."""
    for scratch in root.glob(f"*{atomic_file.PARTIAL_SUFFIX}"):
        with contextlib.suppress(FileNotFoundError):
            if time.time() - scratch.stat().st_mtime > _ORPHAN_AGE_S:
                shutil.rmtree(scratch, ignore_errors=True)
