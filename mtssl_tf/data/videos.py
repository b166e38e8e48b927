"""A stream of video frames, each with the mask of what moves next.

An example shows one frame, or a few of one part in the order of time.

Labels come from the clip itself (`mtssl_tf.motion`). Clips are labelled in
parts of about a second, kept in a cache on disk: a part when a batch needs it,
and further ones ahead of that in the background. Which part a position uses
follows from the seed alone (`visits.py`), and a part's labels from the clip
alone: what the background has made changes only how long a batch takes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
import dataclasses
import pathlib
import threading
import weakref

import numpy as np

from mtssl_tf import motion
from mtssl_tf.data import order
from mtssl_tf.data import skipped as skipped_lib
from mtssl_tf.data import source as source_lib
from mtssl_tf.data import visits
from mtssl_tf.data import work_ahead
from mtssl_tf.lazy_imports import tf
from mtssl_tf.motion import cache as cache_lib
from mtssl_tf.motion import clips as clips_lib
from mtssl_tf.motion import entry as entry_lib
from mtssl_tf.motion import labelled_frame
from mtssl_tf.motion import labeller as labeller_lib
from mtssl_tf.motion import parts as parts_lib
from mtssl_tf.process import plain_graphs

# ours: clips in a row without a usable frame before the source is refused.
_MAX_ATTEMPTS = 16
_PLAN_POSITIONS = 256  # ours: planned at a time


@dataclasses.dataclass(frozen=True)
class VideoSource:
    """Clips and who labels their frames.

    Attributes:
        description: what the user named.
        clips: the clips.
        labeller: makes and keeps labelled frames.
    """

    description: str
    clips: tuple[clips_lib.Clip, ...]
    labeller: labeller_lib.Labeller

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

    def close(self) -> None:
        """Ends all labelling at once, of subsets too."""
        self.labeller.close()

    def raise_failure(self) -> None:
        """Raises why a stream of this source has ended, if that is known."""
        self.labeller.raise_failure()

    @plain_graphs.traces_as_written
    def stream(
        self,
        positions: tf.data.Dataset,
        seed: int,
        skipped: skipped_lib.SkippedExamples,
        smallest_side_px: int | None = None,
        num_frames: int = 1,
    ) -> tf.data.Dataset:
        """Returns a frame with its motion mask for each position.

        The order goes over clips, not frames: a long clip is not seen more
        often than a short one. Which frame of the clip is a function of the
        seed.

        Args:
            positions: int64 [] positions in the order of `seed`.
            seed: the run's seed.
            skipped: gets the names of the clips that could not be used.
            smallest_side_px: not used: clips are labelled at one size.
            num_frames: of a clip that each example shows, as far apart from
                each other as a part allows, and alike.

        Returns:
            dicts of `image`, uint8 [H, W, 3] RGB, `moving`, uint8 [H, W, 1]
            of 0 and 255, and `position`, int64 []; where `num_frames` is
            above 1 also `frames`, uint8 [num_frames, H, W, 3], of which
            `image` is the first.
        """
        finder = _PartFinder(self, seed, skipped, num_frames)
        reader = _FrameReader(finder, positions, order.lookup(len(self), seed))

        def load(position: tf.Tensor) -> dict[str, tf.Tensor]:
            fraction = tf.random.stateless_uniform(
                [], order.frame_seed(position, seed)
            )
            frames, moving = tf.numpy_function(
                reader.read,
                [position, fraction],
                [tf.uint8, tf.uint8],
            )
            frames = tf.ensure_shape(frames, [num_frames, None, None, 3])
            return {
                "image": frames[0],
                "moving": tf.ensure_shape(moving, [None, None, 1]),
                "position": position,
                **({"frames": frames} if num_frames > 1 else {}),
            }

        return positions.map(load, tf.data.AUTOTUNE, deterministic=True)


def open_videos(
    folder: str,
    motion_config: motion.MotionConfig,
    cache_dir: pathlib.Path,
    short_side_px: int,
    max_bytes: int = cache_lib.MAX_BYTES,
) -> VideoSource:
    """Opens what `--videos` names.

    Args:
        folder: of clips.
        motion_config: how motion is found.
        cache_dir: where labelled frames are kept.
        short_side_px: size of the labelled frames.
        max_bytes: what `cache_dir` may hold.

    Raises:
        FileNotFoundError: `folder` is no folder.
        OSError: `cache_dir` cannot be written.
        ValueError: there is no clip in it.
    """
    if not pathlib.Path(folder).is_dir():
        raise FileNotFoundError(
            f"--videos={folder} is no folder. Name a folder of video files "
            "or of folders of numbered frames."
        )
    found = tuple(clips_lib.list_clips(folder))
    cache = cache_lib.LabelCache(
        cache_dir, motion_config, short_side_px, max_bytes
    )
    return VideoSource(folder, found, labeller_lib.Labeller(cache))


class _PartFinder:
    """Finds, and makes, the labelled parts that visits of clips use."""

    def __init__(
        self,
        source: VideoSource,
        seed: int,
        skipped: skipped_lib.SkippedExamples,
        num_frames: int,
    ) -> None:
        self.source, self._seed, self._skipped = source, seed, skipped
        self.num_frames = num_frames
        self._opened: dict[int, parts_lib.IndexedClip | None] = {}
        self._parts: dict[int, tuple[parts_lib.Part, ...]] = {}
        self._lock = threading.Lock()

    def part_name(self, position: int, index: int) -> tuple[str, int, int]:
        """Returns name, clip and number of the part that a position uses.

        The name is '' for a clip that cannot be read.
        """
        clip = self._open(index)
        if clip is None:
            return "", index, 0
        number = next(self._numbers(position, index))
        part = self._parts[index][number]
        return self.source.labeller.cache.name_of(clip, part), index, number

    def make(self, index: int, number: int) -> None:
        """Makes a part of a clip that can be read."""
        clip = self._open(index)
        if clip is not None:
            self.source.labeller.labelled(clip, self._parts[index][number])

    def find(self, position: int, index: int) -> entry_lib.Entry | None:
        """Returns the part that a position uses of its clip.

        Where it has too few usable frames, it is another one of the clip.

        Returns:
            A part with `num_frames` frames, or None if there is none.
        """
        clip = self._open(index)
        if clip is None:
            return None
        problem = ""
        for number in self._numbers(position, index):
            part = self._parts[index][number]
            entry = self.source.labeller.labelled(clip, part)
            if len(entry.names) >= self.num_frames:
                return entry
            problem = entry.problem or problem
        reason = "motion cannot be told in any frame of this clip"
        if self.num_frames > 1:
            reason = (
                f"no part of this clip has {self.num_frames} frames in which "
                "motion can be told: it is too short, or cannot be followed"
            )
        self._skipped.add(
            clip.clip.name, f"{reason}; {problem}" if problem else reason
        )
        return None

    def _numbers(self, position: int, index: int) -> Iterator[int]:
        return visits.part_numbers(
            position // len(self.source),
            len(self._parts[index]),
            len(self.source),
            self._seed,
            self.source.clips[index].name,
        )

    def _open(self, index: int) -> parts_lib.IndexedClip | None:
        with self._lock:
            if index not in self._opened:
                self._opened[index] = self._index(index)
            return self._opened[index]

    def _index(self, index: int) -> parts_lib.IndexedClip | None:
        cache = self.source.labeller.cache
        try:
            clip = parts_lib.IndexedClip(self.source.clips[index])
        except OSError as error:
            self._skipped.add(self.source.names[index], str(error))
            return None
        self._parts[index] = clip.parts(cache.config.window_frames)
        cache.count_parts(clip)
        return clip


class _FrameReader:
    """Reads labelled frames, and has those of later positions made."""

    def __init__(
        self,
        finder: _PartFinder,
        positions: tf.data.Dataset,
        clip_at: Callable[[int], int],
    ) -> None:
        """Starts nothing.

        Args:
            finder: of the clips' parts.
            positions: int64 [], those that are going to be read.
            clip_at: the clip that a position uses.
        """
        cache = finder.source.labeller.cache

        def needs() -> Iterator[tuple[int, tuple[str, int, int]]]:
            for block in positions.batch(_PLAN_POSITIONS).as_numpy_iterator():
                for position in block.tolist():
                    yield (
                        position,
                        finder.part_name(position, clip_at(position)),
                    )

        self._finder, self._clip_at = finder, clip_at
        self._ahead = work_ahead.WorkAhead(
            needs,
            lambda need: finder.make(*need[1:]),
            lambda need: cache.hold(need[0]),
            lambda need: cache.release(need[0]),
            cache.has_room,
        )
        # The threads must not keep what they end with.
        weakref.finalize(self, self._ahead.stop)

    def read(
        self, position: np.int64, fraction: np.float32
    ) -> tuple[np.ndarray, np.ndarray]:
        """Returns frames of the position's clip, and the mask of the first.

        Where that has too few usable frames, they are of the clip of the
        first position after it whose clip has enough.

        Args:
            position: in the order of the source.
            fraction: where to begin, in [0, 1) of the part's labelled frames
                that leave room for the others.

        Returns:
            uint8 [num_frames, H, W, 3] and uint8 [H, W, 1].
        """
        first = int(position)
        self._ahead.note(first)
        labeller = self._finder.source.labeller
        with labeller.noting_failure():
            for place in range(first, first + _MAX_ATTEMPTS):
                pair = self._read_clip(place, self._clip_at(place), fraction)
                if pair is not None:
                    return pair
            num_frames = self._finder.num_frames
            usable = "usable frame"
            if num_frames > 1:
                usable = f"part with {num_frames} usable frames"
            raise source_lib.SourceError(
                f"No {usable} in {_MAX_ATTEMPTS} clips of "
                f"{self._finder.source.description} in a row; the log names "
                "each. Add clips that have some, or leave the task out."
            )

    def _read_clip(
        self, position: int, index: int, fraction: np.float32
    ) -> tuple[np.ndarray, np.ndarray] | None:
        cache = self._finder.source.labeller.cache
        while entry := self._finder.find(position, index):
            loaded = [
                labelled_frame.load(entry.files(number))
                for number in _frame_numbers(
                    len(entry.names), self._finder.num_frames, fraction
                )
            ]
            found = [pair for pair in loaded if pair is not None]
            if len(found) == len(loaded):
                return np.stack([frame for frame, _ in found]), found[0][1]
            # Damaged, or dropped by another process to stay within the bound.
            cache.drop(entry.folder.name)
        return None


def _frame_numbers(
    num_there: int, num_frames: int, fraction: np.float32
) -> list[int]:
    """Returns which of a part's frames to show, evenly apart.

    Args:
        num_there: frames of the part, at least `num_frames`.
        num_frames: how many to show.
        fraction: where to begin, in [0, 1) of the room that is left.
    """
    apart = max((num_there - 1) // max(num_frames - 1, 1), 1)
    room = num_there - (num_frames - 1) * apart
    first = int(fraction * room)
    return [first + number * apart for number in range(num_frames)]
