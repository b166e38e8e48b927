"""Labels parts of clips on demand or ahead, and stops when it is told to.

A frame's mask follows from that frame and the `window_frames` after it, so a
part's masks are the same whichever other parts were labelled before it. Who
labels a part and then the next one continues where he was, and computes no
frame twice.
"""

from __future__ import annotations

import collections
from collections.abc import Iterator
import contextlib
import dataclasses
import itertools
import threading
import time

from absl import logging
import numpy as np

from mtssl_tf.motion import cache as cache_lib
from mtssl_tf.motion import clips
from mtssl_tf.motion import entry as entry_lib
from mtssl_tf.motion import parts
from mtssl_tf.motion import stream

_MAX_WALKS = 16  # ours: each holds a decoder and a window of flow fields
_FIRST_REPORT_S, _REPORT_INTERVAL_S = 2.0, 10.0  # ours


class ClosedError(RuntimeError):
    """Labelling was asked to end."""


@dataclasses.dataclass
class _Walk:
    """Masks of a clip's frames, from one on."""

    frames: clips.FrameReader
    masks: Iterator[tuple[int, np.ndarray, stream.MotionMask]]


class Labeller:
    """Makes the parts that a cache lacks."""

    def __init__(self, cache: cache_lib.LabelCache) -> None:
        self.cache = cache
        self._closed = threading.Event()
        self._failure: Exception | None = None
        self._walks: collections.OrderedDict[tuple[str, int], _Walk]
        self._walks = collections.OrderedDict()
        self._lock = threading.Lock()
        self._progress = _Progress()

    def close(self) -> None:
        """Ends all labelling within a frame's time, in whatever thread."""
        self._closed.set()

    @contextlib.contextmanager
    def noting_failure(self) -> Iterator[None]:
        """Remembers what ends the work within, for `raise_failure`.

        Between the two lies TensorFlow, which passes on only a text.
        """
        try:
            yield
        except (ClosedError, OSError, ValueError) as error:
            self._failure = error
            raise

    def raise_failure(self) -> None:
        """Raises what has ended the work of another thread, if anything."""
        failure, self._failure = self._failure, None
        if failure is not None:
            # With its traceback it would keep what that thread had.
            raise failure.with_traceback(None)

    def check(self) -> None:
        """Raises ClosedError once `close` was called."""
        if self._closed.is_set():
            raise ClosedError("Labelling of clips was asked to end.")

    def labelled(
        self, clip: parts.IndexedClip, part: parts.Part
    ) -> entry_lib.Entry:
        """Returns a part's entry, labelling it if need be.

        Raises:
            ClosedError: `close` was called before it was done.
            OSError: the cache cannot be written.
        """
        walks: list[_Walk] = []

        def label() -> Iterator[cache_lib.LabelledFrame]:
            walks.append(self._take_walk(clip, part))
            count = 0
            for _, frame, mask in itertools.islice(
                walks[0].masks, part.num_frames
            ):
                if mask.is_known:
                    yield f"{part.first + count:06d}", frame, mask.moving
                count += 1
                self._progress.add_frame(clip.clip.name)
            if count == part.num_frames and not walks[0].frames.problem:
                self._keep_walk(clip, part, walks[0])
            self._progress.add_part()

        return self.cache.find_or_make(
            self.cache.name_of(clip, part),
            self.cache.frames_key(clip),
            label,
            lambda: walks[0].frames.problem,
            self.check,
        )

    def _take_walk(self, clip: parts.IndexedClip, part: parts.Part) -> _Walk:
        with self._lock:
            walk = self._walks.pop((clip.fingerprint, part.first), None)
        if walk is None:
            frames = clip.read_frames(part.first, self.cache.short_side_px)
            walk = _Walk(
                frames,
                stream.iterate_masks(
                    self._while_open(frames), self.cache.config
                ),
            )
        return walk

    def _keep_walk(
        self, clip: parts.IndexedClip, part: parts.Part, walk: _Walk
    ) -> None:
        with self._lock:
            end = part.first + part.num_frames
            self._walks[clip.fingerprint, end] = walk
            if len(self._walks) > _MAX_WALKS:
                self._walks.popitem(last=False)

    def _while_open(self, frames: clips.FrameReader) -> Iterator[np.ndarray]:
        for frame in frames:
            self.check()
            yield frame


class _Progress:
    """Says in the log that clips are being labelled."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._num_frames = self._num_parts = 0
        self._next_s = 0.0

    def add_frame(self, clip_name: str) -> None:
        now = time.monotonic()
        with self._lock:
            is_first = not self._num_frames
            self._num_frames += 1
            if now < self._next_s:
                return
            self._next_s = now + (
                _FIRST_REPORT_S if is_first else _REPORT_INTERVAL_S
            )
        if is_first:
            logging.info(
                "Labelling what moves in clips, first in %s. Training goes on "
                "as parts are done, while others are labelled.",
                clip_name,
            )
        else:
            logging.info(
                "Labelled %d frames of clips, in %d parts; now at %s.",
                self._num_frames,
                self._num_parts,
                clip_name,
            )

    def add_part(self) -> None:
        with self._lock:
            self._num_parts += 1
