"""One clip from file to masks, label maps and figures."""

from __future__ import annotations

import collections
from collections.abc import Callable
import dataclasses
import hashlib
import json
import os
import pathlib
import shutil
import time
import uuid

from absl import logging
import cv2
import numpy as np

from mtssl_tf.files import json_file
from mtssl_tf.files import names as names_lib
from mtssl_tf.files import picture
from mtssl_tf.motion import clips
from mtssl_tf.motion import compare
from mtssl_tf.motion import config as motion_config
from mtssl_tf.motion import overlay
from mtssl_tf.motion import parts
from mtssl_tf.motion import stream
from mtssl_tf.process import atomic_file

LABEL_MAP_FACTOR = 8  # paper, sec. 2
MANIFEST_FILE = "manifest.json"
_MASKS, _LABEL_MAPS, _OVERLAYS = "masks", "_label_maps", "_overlays"
_MAX_NAME_BYTES = 200  # ours: of 255, for what writes the record adds letters
_RECORDS, _SCRATCH = "_records", "_scratch"


@dataclasses.dataclass(frozen=True)
class Job:
    """What to do with one clip.

    Attributes:
        clip: one of `list_clips`.
        config: decides the masks.
        out: folder for the results.
        short_side_px: frames are shrunk to it; None keeps their size.
        is_overlaid: also draw a contact sheet and a short video.
        is_timed: also time a bare flow pass.
        truth: folder of true masks to compare with, or None.
    """

    clip: clips.Clip
    config: motion_config.MotionConfig
    out: pathlib.Path
    short_side_px: int | None = None
    is_overlaid: bool = False
    is_timed: bool = False
    truth: pathlib.Path | None = None

    def __post_init__(self) -> None:
        own = (_LABEL_MAPS, _OVERLAYS, _RECORDS, _SCRATCH, MANIFEST_FILE)
        if self.clip.name.split("/")[0] in own:
            raise ValueError(
                f"A clip can't be called {self.clip.name!r}: the results "
                "have something of that name. Rename it."
            )
        if (self.out / self.clip.name).resolve() == self.clip.path.resolve():
            raise ValueError(
                f"The masks of {self.clip.path} would overwrite its frames. "
                "Give another folder to write to."
            )

    @property
    def record_path(self) -> pathlib.Path:
        name = self.clip.name
        longest = max(len(os.fsencode(part)) for part in name.split("/"))
        # `x.json/y` would need a folder of the name that the record of `x` has.
        if longest > _MAX_NAME_BYTES or ".json/" in name:
            name = self._short_name
        return self.out / _RECORDS / f"{name}.json"

    @property
    def _short_name(self) -> str:
        return hashlib.sha256(os.fsencode(self.clip.name)).hexdigest()[:32]

    @property
    def digest(self) -> str:
        """Changes with the clip and everything that decides the result."""
        return "-".join(
            (
                parts.clip_fingerprint(self.clip)[:16],
                motion_config.config_digest(self.config),
                str(self.short_side_px),
                str(int(self.is_overlaid)),
                str(int(self.is_timed)),
                self._truth_fingerprint,
            )
        )

    @property
    def _truth_fingerprint(self) -> str:
        if self.truth is None:
            return str(None)
        truth = clips.Clip(self.clip.name, self.truth / self.clip.name)
        return parts.clip_fingerprint(truth)[:16] if truth.is_folder else ""

    @property
    def finals(self) -> dict[str, pathlib.Path]:
        """The folders of the clip's masks and label maps."""
        return {
            _MASKS: self.out / self.clip.name,
            _LABEL_MAPS: self.out / _LABEL_MAPS / self.clip.name,
        }

    @property
    def scratch(self) -> pathlib.Path:
        """Where it is computed; whoever does so adds a suffix."""
        return self.out / _SCRATCH / self._short_name


def run_job(job: Job) -> dict:
    """Computes a clip, or returns its record if that was done before."""
    record = _load_record(job)
    if record.get("digest") == job.digest and _is_there(job, record):
        return record
    # Named by who writes it: a process that is cut off from its command may
    # still write while the clip is made again. What it leaves is removed.
    scratch = job.scratch.with_suffix(f".{uuid.uuid4().hex}")
    for old in scratch.parent.glob(f"{scratch.stem}.*"):
        shutil.rmtree(old, ignore_errors=True)
    (scratch / _LABEL_MAPS).mkdir(parents=True)
    (scratch / _MASKS).mkdir()
    record = _compute(job, scratch)
    _publish(job, scratch, record)
    return record


def _is_there(job: Job, record: dict) -> bool:
    """Whether all that a record lists can still be found."""
    files = [
        folder / f"{name}.png"
        for folder in job.finals.values()
        for name in record.get("masks", [])
    ]
    return all(file.is_file() and file.stat().st_size for file in files)


def _load_record(job: Job) -> dict:
    """Returns what was written of the clip; {} where it is torn or missing."""
    try:
        return json_file.load_object(job.record_path, "It is made anew.")
    except FileNotFoundError:
        return {}
    except ValueError as error:
        logging.warning("%s", error)
        return {}


def empty_record(job: Job, problem: str) -> dict:
    """Returns a clip's record as long as nothing of it is computed.

    It has no digest, and without one the next run tries the clip again.
    """
    return {
        "name": job.clip.name,
        "path": str(job.clip.path),
        "digest": "",
        "method": job.config.method,
        "size": None,
        "num_frames": 0,
        "num_masks": 0,
        "unknown": {},
        "problem": problem,
        "seconds": 0.0,
        "statistics": {},
        "masks": [],
    }


def _compute(job: Job, scratch: pathlib.Path) -> dict:
    """Computes all masks into a scratch folder; returns the clip's record."""
    frames = clips.read_frames(job.clip, job.short_side_px)
    names: list[str] = []
    unknown: collections.Counter[str] = collections.Counter()
    statistics: collections.defaultdict[str, list[float]]
    statistics = collections.defaultdict(list)
    drawing = overlay.Overlay(_overlay_stem(job)) if job.is_overlaid else None
    num_frames = 0
    size: list[int] | None = None
    frame_name = _frame_namer(job.clip)
    bare = [_bare_flow_seconds(job)] if job.is_timed else []
    start_s = time.perf_counter()
    for index, frame, mask in stream.iterate_masks(frames, job.config):
        num_frames += 1
        size = list(frame.shape[:2])
        if drawing:
            drawing.add(frame, mask)
        if not mask.is_known:
            unknown[mask.reason] += 1
            continue
        names.append(frame_name(index))
        _save_mask(scratch, names[-1], mask)
        figures = {**mask.statistics, **_agreement(job, names[-1], mask)}
        for name, value in figures.items():
            statistics[name].append(value)
    seconds = time.perf_counter() - start_s
    if drawing:
        drawing.close()
    means = {name: float(np.mean(v)) for name, v in statistics.items()}
    if job.is_timed and num_frames > 1:
        # Before and after, so that a process that warms up favours neither.
        bare.append(_bare_flow_seconds(job))
        means["whole_per_bare"] = seconds / min(bare)
    return {
        **empty_record(job, frames.problem),
        "digest": job.digest,
        "size": size,
        "num_frames": num_frames,
        "num_masks": len(names),
        "unknown": dict(unknown),
        "seconds": round(seconds, 3),
        "statistics": means,
        "masks": names,
    }


def _bare_flow_seconds(job: Job) -> float:
    frames = clips.read_frames(job.clip, job.short_side_px)
    return stream.bare_flow_seconds(frames, job.config)


def _frame_namer(clip: clips.Clip) -> Callable[[int], str]:
    if clip.is_folder:
        stems = [
            names_lib.as_text(p.stem) for p in clips.frame_paths(clip.path)
        ]
        return lambda index: stems[index]
    return lambda index: f"{index:05d}"


def _save_mask(
    scratch: pathlib.Path, name: str, mask: stream.MotionMask
) -> None:
    _save_png(scratch / _MASKS / f"{name}.png", mask.moving)
    _save_png(scratch / _LABEL_MAPS / f"{name}.png", label_map(mask.moving))


def label_map(moving: np.ndarray, factor: int = LABEL_MAP_FACTOR) -> np.ndarray:
    """Returns where most of each factor x factor block moves.

    Args:
        moving: bool [H, W].
        factor: side of a block, in pixels.

    Returns:
        bool [ceil(H / factor), ceil(W / factor)].
    """
    height, width = moving.shape
    padded = np.pad(
        moving.astype(np.float32),
        ((0, -height % factor), (0, -width % factor)),
        "edge",
    )
    blocks = padded.reshape(
        padded.shape[0] // factor, factor, padded.shape[1] // factor, factor
    )
    return blocks.mean(axis=(1, 3)) > 0.5


def _save_png(path: pathlib.Path, mask: np.ndarray) -> None:
    picture.save(path, np.where(mask, np.uint8(255), np.uint8(0)))


def _agreement(
    job: Job, name: str, mask: stream.MotionMask
) -> dict[str, float]:
    """Returns the measures against a true mask, if there is one."""
    if job.truth is None:
        return {}
    path = job.truth / job.clip.name / f"{name}.png"
    if not path.is_file():
        return {}
    try:
        truth = picture.decode(picture.read(path), cv2.IMREAD_GRAYSCALE)
    except picture.UnusablePictureError as error:
        raise ValueError(f"{path}: expected a true mask, {error}.") from error
    height, width = mask.moving.shape
    if truth.shape != mask.moving.shape:  # --short_side
        truth = cv2.resize(
            truth, (width, height), interpolation=cv2.INTER_NEAREST
        )
    return compare.compare_masks(mask.moving, truth > 127)


def _overlay_stem(job: Job) -> pathlib.Path:
    stem = job.out / _OVERLAYS / job.clip.name
    stem.parent.mkdir(parents=True, exist_ok=True)
    return stem


def _publish(job: Job, scratch: pathlib.Path, record: dict) -> None:
    """Moves the scratch folder's masks into place, then the record.

    Only files that an earlier record lists are removed, and the record comes
    last: it stands for a clip that is complete.
    """
    outdated = _load_record(job).get("masks", [])
    # Who is killed from here on still knows what to remove.
    unfinished = {"digest": "", "masks": [*outdated, *record["masks"]]}
    atomic_file.write_text(job.record_path, json.dumps(unfinished) + "\n")
    for kind, final in job.finals.items():
        final.mkdir(parents=True, exist_ok=True)
        for name in outdated:
            (final / f"{name}.png").unlink(missing_ok=True)
        for file in (scratch / kind).iterdir():
            os.replace(file, final / file.name)
    shutil.rmtree(scratch)
    text = json.dumps(record, indent=1) + "\n"
    atomic_file.write_text(job.record_path, text)
