"""Looks at the start of clips: can they be read, and does anything move?"""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses
import itertools

import numpy as np

from mtssl_tf.checkup import sample
from mtssl_tf.motion import clips as clips_lib
from mtssl_tf.reports import progress as progress_lib

# ours: all of it. Noise averages out at this size, and half a second of most
# films, in steps that slow motion shows in, is read in some 10 ms.
NUM_FRAMES = 13
_STRIDE = 4
_SHORT_SIDE_PX = 64
_STILL_LEVELS = 0.5  # mean absolute difference, of 255


@dataclasses.dataclass(frozen=True)
class ClipCheck:
    """What clips are like.

    Attributes:
        total: clips found.
        looked_at: how many of them were opened.
        unusable: (name, reason) of those that yield no two frames.
        cut_off: (name, reason) of those that break within their start.
        differences: name -> largest mean absolute difference of two frames
            `_STRIDE` apart, in grey levels of [0, 255].
    """

    total: int
    looked_at: int
    unusable: list[tuple[str, str]]
    cut_off: list[tuple[str, str]]
    differences: dict[str, float]

    @property
    def still(self) -> list[str]:
        """Names of the clips in whose start nothing moves."""
        return [
            name
            for name, value in self.differences.items()
            if value < _STILL_LEVELS
        ]


def check_clips(
    clips: Sequence[clips_lib.Clip], share: float = 1.0
) -> ClipCheck:
    """Reads the first NUM_FRAMES frames of clips.

    Args:
        clips: as `list_clips` has them.
        share: of them that is looked at, in (0, 1].
    """
    chosen = [clips[i] for i in sample.numbers(len(clips), share)]
    progress = progress_lib.ProgressLine(len(chosen), "clips")
    unusable, cut_off, differences = [], [], {}
    for count, clip in enumerate(chosen, start=1):
        reader = clips_lib.read_frames(clip, _SHORT_SIDE_PX)
        frames = list(itertools.islice(reader, NUM_FRAMES))
        if len(frames) < 2:
            unusable.append((clip.name, reader.problem or "it is one frame"))
        else:
            differences[clip.name] = largest_difference(frames)
            if reader.problem:
                cut_off.append((clip.name, reader.problem))
        progress.update(count)
    progress.finish(f"{len(chosen)} clips")
    return ClipCheck(len(clips), len(chosen), unusable, cut_off, differences)


def largest_difference(frames: Sequence[np.ndarray]) -> float:
    """Returns the largest mean absolute difference of frames some apart.

    Args:
        frames: two or more of uint8 [H, W, 3].
    """
    some = list(frames[::_STRIDE])
    if len(some) < 2:
        some = [frames[0], frames[-1]]
    return max(
        float(np.abs(a.astype(np.float32) - b).mean())
        for a, b in itertools.pairwise(some)
    )
