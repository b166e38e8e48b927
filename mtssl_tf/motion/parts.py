"""A clip cut into parts of bounded length, each readable by itself.

Which frame a part begins with must not depend on how a decoder got there. A
seek of OpenCV's lands where the mean frame rate says, which is elsewhere as
soon as frames are not evenly spaced. So a container's packets are read first,
without decoding: the times at which they are shown, sorted, are its frames.
After a seek the frame's own time tells where one is. Where packets have no
times of their own, frames are counted from the start.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
import dataclasses
import hashlib
import os

import cv2
import numpy as np

from mtssl_tf.motion import clips

# ours: about a second of film. A longer part makes the first batch wait, a
# shorter one spends more on the frames that follow it.
PART_FRAMES = 32
_FRAMES_BACK = (0, 64, 512)  # ours: seeks that are tried before counting
_SAME_MS = 1e-3  # times that differ by less are one


@dataclasses.dataclass(frozen=True)
class Part:
    """Frames `first` to `first + num_frames - 1` of a clip."""

    first: int
    num_frames: int


class IndexedClip:
    """A clip of which any frame can be reached.

    Attributes:
        clip: the clip.
        fingerprint: changes when its files change.
        num_frames: frames that it has, decodable or not.
    """

    def __init__(self, clip: clips.Clip) -> None:
        """Reads the list of its frames, not the frames.

        Raises:
            OSError: its files cannot be read.
        """
        self.clip = clip
        self.fingerprint = clip_fingerprint(clip)
        # ms, ascending; None where frames can only be counted.
        self._times: np.ndarray | None = None
        if clip.is_folder:
            self.num_frames = len(clips.frame_paths(clip.path))
        else:
            times, self._size_problem = _packet_times(clip)
            self.num_frames = len(times)
            if (np.diff(times) > 2 * _SAME_MS).all():
                self._times = times

    def parts(self, window_frames: int) -> tuple[Part, ...]:
        """Returns its parts, of nearly the same length; at least one.

        Args:
            window_frames: the last so many frames have no mask, and are in
                no part.
        """
        count = max(self.num_frames - window_frames, 0)
        num_parts = max(-(-count // PART_FRAMES), 1)
        bounds = [count * n // num_parts for n in range(num_parts + 1)]
        return tuple(
            Part(first, last - first)
            for first, last in zip(bounds, bounds[1:], strict=False)
        )

    def read_frames(
        self, first: int, short_side_px: int | None
    ) -> clips.FrameReader:
        """Returns an iterator over the frames from `first` on.

        It is as `clips.read_frames`, and also ends before a frame that is
        missing.
        """
        return clips.FrameReader(
            self.clip, short_side_px, self._frames_from(first)
        )

    def _frames_from(
        self, first: int
    ) -> Callable[[clips.FrameReader], Generator[np.ndarray, None, None]]:
        if self.clip.is_folder:
            return lambda reader: clips.read_pictures(reader, first)
        return lambda reader: self._read_container(reader, first)

    def _read_container(
        self, reader: clips.FrameReader, first: int
    ) -> Generator[np.ndarray, None, None]:
        if not self.num_frames:
            reader.problem = self._size_problem or clips.describe_unopened(
                self.clip.path
            )
            return
        capture, is_there = self._open_at(first)
        try:
            for number in range(first, self.num_frames):
                is_read = False
                if is_there and self._is_at(capture, number):
                    is_read, frame = capture.retrieve()
                if not is_read:
                    reader.problem = (
                        f"frame {number} of {self.num_frames} can't be "
                        "decoded: reading ends"
                    )
                    return
                yield frame
                is_there = capture.grab()
        finally:
            capture.release()

    def _open_at(self, number: int) -> tuple[cv2.VideoCapture, bool]:
        """Opens the container and grabs frame `number`.

        Returns:
            It, and whether the frame could be grabbed.
        """
        capture = clips.open_container(self.clip.path)
        if self._times is None:
            return capture, all(capture.grab() for _ in range(number + 1))
        per_s = capture.get(cv2.CAP_PROP_FPS)
        for back in _FRAMES_BACK if number else ():
            guess = self._times[number] / 1000 * per_s - back
            capture.set(cv2.CAP_PROP_POS_FRAMES, max(int(guess), 0))
            if self._grab_up_to(capture, number):
                return capture, True
        capture.release()
        capture = clips.open_container(self.clip.path)
        return capture, self._grab_up_to(capture, number)

    def _grab_up_to(self, capture: cv2.VideoCapture, number: int) -> bool:
        while capture.grab():
            here = self._number(capture)
            if here is None or here >= number:
                return here == number
        return False

    def _is_at(self, capture: cv2.VideoCapture, number: int) -> bool:
        return self._times is None or self._number(capture) == number

    def _number(self, capture: cv2.VideoCapture) -> int | None:
        """Returns which frame was grabbed last, by its time."""
        if self._times is None:
            return None
        time_ms = capture.get(cv2.CAP_PROP_POS_MSEC)
        number = int(np.searchsorted(self._times, time_ms - _SAME_MS))
        is_known = (
            number < self.num_frames
            and abs(self._times[number] - time_ms) <= _SAME_MS
        )
        return number if is_known else None


def clip_fingerprint(clip: clips.Clip) -> str:
    """Returns a digest that changes when a clip's files change."""
    files = clips.frame_paths(clip.path) if clip.is_folder else [clip.path]
    digest = hashlib.sha256(os.fsencode(clip.path.resolve()))
    for file in files:
        stat = file.stat()
        facts = f"{file.name}|{stat.st_size}|{stat.st_mtime_ns}"
        digest.update(os.fsencode(facts))
    return digest.hexdigest()


def _packet_times(clip: clips.Clip) -> tuple[np.ndarray, str]:
    """Returns when each of a container's pictures is shown, sorted.

    Returns:
        float64 [n], ms, empty where there is none that can be read; and ''
        or that they are too large.
    """
    capture = clips.open_container(clip.path)
    try:
        problem = clips.size_problem(capture)
        # Packets as they are; a back end that has none decodes them.
        capture.set(cv2.CAP_PROP_FORMAT, -1)
        times = []
        while not problem and capture.grab():
            times.append(capture.get(cv2.CAP_PROP_POS_MSEC))
    finally:
        capture.release()
    return np.sort(np.array(times, np.float64)), problem
