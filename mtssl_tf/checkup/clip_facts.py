"""Looks at clips, by the reader that training labels them with."""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses
import time

import cv2
import numpy as np

from mtssl_tf.data import source as source_lib
from mtssl_tf.motion import clips as clips_lib
from mtssl_tf.motion import parts as parts_lib

# ours: 6 frames apart, at this size, a scene in which nothing moves differs by
# a camera's noise alone, under one level of 255.
_FRAMES_APART = 6
_SIDE_PX = 64
MIN_DIFFERENCE = 1.0


@dataclasses.dataclass(frozen=True)
class ClipLook:
    """One clip.

    Attributes:
        name: of the clip.
        num_frames: that it has.
        size: width and height as stored; None where no frame can be read.
        difference: the largest mean change of grey between two frames that
            are a little apart, in levels of 255; NaN where unknown.
        problem: '' or why training cannot use it.
    """

    name: str
    num_frames: int
    size: tuple[int, int] | None
    difference: float
    problem: str

    @property
    def is_still(self) -> bool:
        """Whether nothing moves in it, so that there is nothing to learn."""
        return not self.problem and self.difference < MIN_DIFFERENCE


@dataclasses.dataclass(frozen=True)
class ClipFacts:
    """What was found.

    Attributes:
        num_found: clips in the folder.
        looks: at those that were looked at.
        frame: one of a usable clip, uint8 [H, W, 3] RGB, if there is any.
    """

    num_found: int
    looks: Sequence[ClipLook]
    frame: np.ndarray | None

    @property
    def usable(self) -> list[ClipLook]:
        return [each for each in self.looks if not each.problem]


def look(
    folder: str,
    share: float | None,
    max_s: float,
    window_frames: int,
    short_side_px: int,
) -> ClipFacts:
    """Looks at clips in a random order that is always the same.

    Args:
        folder: what `--videos` names.
        share: of the clips to look at; None takes as many as `max_s` allows.
        max_s: for that case.
        window_frames: that motion is looked for in; a clip needs more.
        short_side_px: at which a frame is kept.

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: there is no clip in it.
    """
    clips = clips_lib.list_clips(folder)
    hashes = source_lib.hash_names([clip.name for clip in clips])
    chosen = [clips[number] for number in np.argsort(hashes, kind="stable")]
    if share is not None:
        chosen = chosen[: max(1, round(share * len(chosen)))]
        max_s = float("inf")
    end_s = time.monotonic() + max_s
    looks, frame = [], None
    for clip in chosen:
        each, own_frame = _look_at(clip, window_frames, short_side_px)
        looks.append(each)
        frame = own_frame if frame is None else frame
        if time.monotonic() > end_s:
            break
    looks.sort(key=lambda each: each.name)
    return ClipFacts(len(clips), looks, frame)


def first_frame(
    folder: str, window_frames: int, short_side_px: int
) -> np.ndarray:
    """Returns a frame of the first clip that can be used, uint8 [H, W, 3].

    Args:
        folder: as `look` takes it, as are the next ones.
        window_frames: that motion is looked for in.
        short_side_px: of the frame.

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: there is no clip in it, or none that can be used.
    """
    for clip in clips_lib.list_clips(folder):
        look_at, frame = _look_at(clip, window_frames, short_side_px)
        if frame is not None:
            return frame
    raise ValueError(
        f"--videos={folder} holds no clip that can be used. python -m "
        "mtssl_tf.doctor says what each lacks."
    )


def _look_at(
    clip: clips_lib.Clip, window_frames: int, short_side_px: int
) -> tuple[ClipLook, np.ndarray | None]:
    try:
        indexed = parts_lib.IndexedClip(clip)
    except OSError as error:
        return ClipLook(clip.name, 0, None, np.nan, str(error)), None
    parts = indexed.parts(window_frames)
    size, frame, problem, differences = None, None, "", [np.nan]
    for number in sorted({0, len(parts) // 2, len(parts) - 1}):
        frames = indexed.read_frames(parts[number].first, short_side_px)
        read = [next(frames, None) for _ in range(_FRAMES_APART + 1)]
        if frames.source_size is not None:
            size = (frames.source_size[1], frames.source_size[0])
        problem = problem or frames.problem
        if read[0] is not None and read[-1] is not None:
            frame = read[0]
            differences.append(_difference(read[0], read[-1]))
    if not problem and indexed.num_frames <= window_frames:
        problem = (
            f"it has {indexed.num_frames} frames, and motion is looked for in "
            f"more than {window_frames}"
        )
    # What can be read of a broken clip is used.
    if frame is not None and indexed.num_frames > window_frames:
        problem = ""
    largest = float(np.nanmax(differences)) if frame is not None else np.nan
    look_at = ClipLook(clip.name, indexed.num_frames, size, largest, problem)
    return look_at, None if problem else frame


def _difference(before: np.ndarray, after: np.ndarray) -> float:
    small = [
        cv2.cvtColor(
            clips_lib.resized_to_short_side(frame, _SIDE_PX), cv2.COLOR_RGB2GRAY
        ).astype(np.float32)
        for frame in (before, after)
    ]
    return float(np.abs(small[0] - small[1]).mean())
