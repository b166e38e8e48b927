"""Finding clips below a folder and reading their frames one by one.

A clip is a container file that OpenCV decodes or a folder of numbered
pictures. Reading streams: one frame is held at a time, whatever the length.
"""

from __future__ import annotations

import collections
from collections.abc import Callable, Generator, Iterator, Sequence
import dataclasses
import os
import pathlib
import re
from typing import TypeAlias

import cv2
import numpy as np

from mtssl_tf.files import names
from mtssl_tf.files import picture
from mtssl_tf.files import walk

CONTAINER_SUFFIXES = (
    ".avi",
    ".m4v",
    ".mkv",
    ".mov",
    ".mp4",
    ".mpeg",
    ".mpg",
    ".webm",
)
FRAME_SUFFIXES = (".jpeg", ".jpg", ".png")
_NUM_SHOWN_BYTES = 24  # ours: of a file that is no video, in the message


@dataclasses.dataclass(frozen=True)
class Clip:
    """One film: `name` is unique in its list and safe as a folder name."""

    name: str
    path: pathlib.Path

    @property
    def is_folder(self) -> bool:
        return self.path.is_dir()


def frame_paths(folder: pathlib.Path) -> list[pathlib.Path]:
    """Returns the numbered pictures of a folder in the order of the numbers."""
    found = walk.files_in(folder, FRAME_SUFFIXES)
    paths = [pathlib.Path(path) for path in found.files]
    numbered = [path for path in paths if re.search(r"\d", path.stem)]
    return sorted(numbered, key=lambda path: names.natural_key(path.name))


def _problem_of_frames(paths: Sequence[pathlib.Path]) -> str:
    """Says so where a folder has two pictures of one frame."""
    stems = collections.Counter(path.stem for path in paths)
    twice = [path.name for path in paths if stems[path.stem] > 1]
    if not twice:
        return ""
    return (
        f"it holds several pictures of one frame: {names.some(twice)}; keep "
        "one kind"
    )


def list_clips(folder: str | os.PathLike) -> list[Clip]:
    """Returns every clip below `folder`, sorted by name.

    Raises:
        FileNotFoundError: `folder` does not exist.
        ValueError: nothing below it looks like a clip.
    """
    root = pathlib.Path(folder)
    if not root.is_dir():
        raise FileNotFoundError(
            f"No folder of videos at {root}. Give a folder that holds video "
            "files or folders of numbered frames."
        )
    found = walk.files_below(root, CONTAINER_SUFFIXES)
    paths = [pathlib.Path(path) for path in found.files]
    paths += [p for p in map(pathlib.Path, found.folders) if frame_paths(p)]
    if not paths:
        raise ValueError(
            f"Found no clip below {root}. Expected files ending in "
            f"{', '.join(CONTAINER_SUFFIXES)} or folders of numbered "
            f"{', '.join(FRAME_SUFFIXES)} frames. {found.describe_problems()}"
        )
    found.log_problems()
    return _named(root, sorted(paths))


def _named(root: pathlib.Path, paths: list[pathlib.Path]) -> list[Clip]:
    """Names clips by their path below root; suffixes only part namesakes."""
    short = {path: _relative_name(root, path, path.stem) for path in paths}
    for path in paths:
        if path.is_dir():
            short[path] = _relative_name(root, path, path.name)
    count = collections.Counter(short.values())
    clips: dict[str, Clip] = {}
    for path in paths:
        name = short[path]
        if count[name] > 1 and not path.is_dir():
            name = _relative_name(root, path, path.name)
        # The folder that was named may have one of its own name in it.
        number, unique = 1, name
        while unique in clips:
            number += 1
            unique = f"{name} ({number})"
        clips[unique] = Clip(unique, path)
    return list(clips.values())


def _relative_name(root: pathlib.Path, path: pathlib.Path, last: str) -> str:
    if path == root:
        return names.as_text(root.resolve().name)
    parts = [*path.relative_to(root).parts[:-1], last]
    return names.as_text("/".join(parts))


def resized_to_short_side(
    frame: np.ndarray, short_side_px: int | None
) -> np.ndarray:
    """Shrinks uint8 [H, W, 3] to a short side; never enlarges.

    Returns:
        uint8 [h, w, 3] with min(h, w) == min(short_side_px, H, W).
    """
    height, width = frame.shape[:2]
    if short_side_px is None or min(height, width) <= short_side_px:
        return frame
    scale = short_side_px / min(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(frame, size, interpolation=cv2.INTER_AREA)


PictureReader: TypeAlias = (
    "Callable[[FrameReader], Generator[np.ndarray, None, None]]"
)


class FrameReader(Iterator[np.ndarray]):
    """Iterates over a clip's frames, and says afterwards what went wrong.

    Attributes:
        problem: '' or, once the frames have ended, why not all were read, with
            the decoder's reason and how many were.
        source_size: (height, width) of the frames as stored, once known.
    """

    def __init__(
        self,
        clip: Clip,
        short_side_px: int | None = None,
        pictures: PictureReader | None = None,
    ) -> None:
        """Opens nothing yet.

        Args:
            clip: one of `list_clips`.
            short_side_px: frames are shrunk to this short side.
            pictures: reads them, uint8 [H, W, 3] BGR; from the clip's start
                to its end if None.
        """
        self.clip = clip
        self.problem = ""
        self.source_size: tuple[int, int] | None = None
        self._short_side_px = short_side_px
        self._num_read = 0
        own = read_pictures if clip.is_folder else _container
        self._frames = (pictures or own)(self)

    def __next__(self) -> np.ndarray:
        frame = next(self._frames)
        size = frame.shape[:2]
        if self.source_size is None:
            self.source_size = size
        if size != self.source_size:
            self._frames.close()
            self.problem = (
                f"frame {self._num_read} is {size[1]}x{size[0]}, not "
                f"{self.source_size[1]}x{self.source_size[0]}: reading ends"
                f" there, with {self._num_read} frames used"
            )
            raise StopIteration
        self._num_read += 1
        frame = resized_to_short_side(frame, self._short_side_px)
        return cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)


def read_pictures(
    reader: FrameReader, first: int = 0
) -> Generator[np.ndarray, None, None]:
    """Yields a folder's pictures from number `first` on."""
    paths = frame_paths(reader.clip.path)
    reader.problem = _problem_of_frames(paths)
    if reader.problem:
        return
    for number, path in enumerate(paths[first:], start=first):
        try:
            frame = picture.decode(picture.read(path))
        except (picture.UnusablePictureError, OSError) as error:
            reader.problem = (
                f"{names.shown(path.name)} can't be decoded ({error}): reading "
                f"ends there, with {number} of {len(paths)} frames used"
            )
            return
        yield frame


def open_container(path: pathlib.Path) -> cv2.VideoCapture:
    """Returns a container from its start; closed if it can't be read."""
    # An absolute path, since FFmpeg takes `a:b.avi` for a protocol.
    return cv2.VideoCapture(names.for_opencv(os.path.abspath(path)))


def _container(reader: FrameReader) -> Generator[np.ndarray, None, None]:
    path = reader.clip.path
    capture = open_container(path)
    count = 0
    try:
        if not capture.isOpened():
            reader.problem = describe_unopened(path)
            return
        expected = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
        reader.problem = size_problem(capture)
        while not reader.problem:
            is_read, frame = capture.read()
            if not is_read:
                break
            count += 1
            yield frame
    finally:
        capture.release()
    if reader.problem:
        return
    if count == 0:
        reader.problem = "holds no picture that OpenCV can decode"
    elif count < expected - 1:  # containers often announce one too many
        reader.problem = f"only {count} of {expected} frames can be decoded"


def describe_unopened(path: pathlib.Path) -> str:
    """Says why a container can't be read, as far as anything tells."""
    capture = cv2.VideoCapture()
    # A reason comes as an exception, or not at all.
    capture.setExceptionMode(True)
    reason = ""
    try:
        capture.open(names.for_opencv(os.path.abspath(path)))
    except cv2.error as error:
        reason = error.err
    finally:
        capture.release()
    return (
        "not a video that can be decoded; OpenCV says: "
        f"{reason or 'no reason'}; {_describe_start(path)}"
    )


def size_problem(capture: cv2.VideoCapture) -> str:
    """Returns '' or that frames are too large to decode."""
    width = int(capture.get(cv2.CAP_PROP_FRAME_WIDTH))
    height = int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
    if width * height <= picture.MAX_PIXELS:
        return ""
    return (
        f"frames of {width}x{height} pixels are above the "
        f"{picture.MAX_PIXELS} that are decoded"
    )


def _describe_start(path: pathlib.Path) -> str:
    """Shows a file's first bytes: a web page's or a text's are telling."""
    try:
        with path.open("rb") as file:
            start = file.read(_NUM_SHOWN_BYTES)
    except OSError as error:
        return f"it cannot be read: {error.strerror}"
    return f"it begins with {start!r}" if start else "the file is empty"


def read_frames(clip: Clip, short_side_px: int | None = None) -> FrameReader:
    """Returns an iterator over a clip's frames, uint8 [H, W, 3] RGB.

    Frames end where the clip breaks or changes size; the iterator's `problem`
    then says why. A clip of which nothing can be read yields no frame.

    Args:
        clip: one of `list_clips`.
        short_side_px: frames are shrunk to this short side, never enlarged.
    """
    return FrameReader(clip, short_side_px)
