"""A stream of single video frames, each with the mask of what moves next.

Labels come from the clip itself (`mtssl_tf.motion`). A clip is decoded and
labelled when it is first needed; frames and masks are then read from a cache
on disk.
"""

from __future__ import annotations

import collections
from collections.abc import Sequence
import dataclasses
import pathlib
import threading

import cv2
import numpy as np

from mtssl_tf import motion
from mtssl_tf.data import order
from mtssl_tf.data import skipped as skipped_lib
from mtssl_tf.lazy_imports import tf
from mtssl_tf.motion import cache
from mtssl_tf.motion import clips as clips_lib

# ours: clips in a row without a usable frame before the source is refused.
_MAX_ATTEMPTS = 16

_Pair = tuple[pathlib.Path, pathlib.Path]  # a frame and its mask


@dataclasses.dataclass(frozen=True)
class VideoSource:
    """Clips and how their frames are labelled.

    Attributes:
        description: what the user named.
        clips: the clips.
        motion_config: how motion is found.
        cache_dir: where labelled frames are kept.
        short_side_px: size of the labelled frames.
    """

    description: str
    clips: tuple[clips_lib.Clip, ...]
    motion_config: motion.MotionConfig
    cache_dir: pathlib.Path
    short_side_px: int

    def __len__(self) -> int:
        return len(self.clips)

    @property
    def names(self) -> tuple[str, ...]:
        """The clips' names."""
        return tuple(clip.name for clip in self.clips)

    def subset(self, numbers: np.ndarray) -> VideoSource:
        """Returns the source of only the clips `numbers`, int64 [n]."""
        chosen = tuple(self.clips[number] for number in numbers)
        return dataclasses.replace(self, clips=chosen)

    def labelled_frames(self, number: int) -> Sequence[_Pair]:
        """Returns (frame path, mask path) pairs of clip `number`."""
        return cache.labelled_clip(
            self.clips[number],
            self.motion_config,
            self.cache_dir,
            self.short_side_px,
        )

    def stream(
        self,
        positions: tf.data.Dataset,
        seed: int,
        skipped: skipped_lib.SkippedExamples,
    ) -> tf.data.Dataset:
        """Returns a frame with its motion mask for each position.

        The order goes over clips, not frames: a long clip is not seen more
        often than a short one. Which frame of the clip is a function of the
        seed.

        Args:
            positions: int64 [] positions in the order of `seed`.
            seed: the run's seed.
            skipped: gets the names of the clips that could not be used.

        Returns:
            dicts of `image`, uint8 [H, W, 3] RGB, `moving`, uint8 [H, W, 1]
            of 0 and 255, and `position`, int64 [].
        """
        reader = _FrameReader(self, skipped)

        def load(position: tf.Tensor) -> dict[str, tf.Tensor]:
            attempts = tf.range(_MAX_ATTEMPTS, dtype=tf.int64)
            indices = tf.map_fn(
                lambda attempt: order.example_index(
                    position + attempt, len(self), seed
                ),
                attempts,
            )
            fraction = tf.random.stateless_uniform(
                [], order.example_seed(position, seed)
            )
            image, moving = tf.numpy_function(
                reader.read, [indices, fraction], [tf.uint8, tf.uint8]
            )
            return {
                "image": tf.ensure_shape(image, [None, None, 3]),
                "moving": tf.ensure_shape(moving, [None, None, 1]),
                "position": position,
            }

        return positions.map(load, tf.data.AUTOTUNE, deterministic=True)


def open_videos(
    folder: str,
    motion_config: motion.MotionConfig,
    cache_dir: pathlib.Path,
    short_side_px: int,
) -> VideoSource:
    """Opens what `--videos` names.

    Raises:
        FileNotFoundError: `folder` is no folder.
        ValueError: there is no clip in it.
    """
    if not pathlib.Path(folder).is_dir():
        raise FileNotFoundError(
            f"--videos={folder} is no folder. Name a folder of video files "
            "or of folders of numbered frames."
        )
    found = tuple(clips_lib.list_clips(folder))
    if not found:
        raise ValueError(
            f"--videos={folder} holds no clip. Expected video files (mp4, "
            "avi, mkv, mov, webm) or folders of numbered frames."
        )
    return VideoSource(folder, found, motion_config, cache_dir, short_side_px)


class _FrameReader:
    """Reads labelled frames, remembering which clips have any."""

    def __init__(
        self, source: VideoSource, skipped: skipped_lib.SkippedExamples
    ) -> None:
        self._source = source
        self._skipped = skipped
        self._frames: dict[int, Sequence[_Pair]] = {}
        # One thread labels a clip; others that want the same one wait.
        self._locks: dict[int, threading.Lock] = collections.defaultdict(
            threading.Lock
        )

    def read(
        self, indices: np.ndarray, fraction: np.float32
    ) -> tuple[np.ndarray, np.ndarray]:
        """Returns a frame and mask of the first usable clip of `indices`.

        Args:
            indices: int64 [n], clips in the order to try.
            fraction: which frame, in [0, 1) of the labelled ones.
        """
        for index in indices:
            for _ in range(2):
                frames = self._labelled_frames(int(index))
                if not frames:
                    break
                pair = _load_pair(*frames[int(fraction * len(frames))])
                if pair is not None:
                    return pair
                # The cache dropped this clip to stay within its bound.
                with self._locks[int(index)]:
                    self._frames.pop(int(index), None)
        raise ValueError(
            f"No usable frame in {len(indices)} clips of "
            f"{self._source.description} in a row; the log names each."
        )

    def _labelled_frames(self, index: int) -> Sequence[_Pair]:
        with self._locks[index]:
            if index not in self._frames:
                frames = self._source.labelled_frames(index)
                if not frames:
                    self._skipped.add(
                        self._source.names[index],
                        "motion cannot be told in any frame of this clip",
                    )
                self._frames[index] = frames
            return self._frames[index]


def _load_pair(
    frame_path: pathlib.Path, mask_path: pathlib.Path
) -> tuple[np.ndarray, np.ndarray] | None:
    """Returns frame and mask, or None where either file is gone."""
    image = cv2.imread(str(frame_path), cv2.IMREAD_COLOR)
    mask = cv2.imread(str(mask_path), cv2.IMREAD_GRAYSCALE)
    if image is None or mask is None:
        return None
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB), mask[..., None]
