"""Finding clips below a folder and reading their frames one by one.

A clip is a container file that OpenCV decodes or a folder of numbered
pictures. Reading streams: one frame is held at a time, whatever the length.
"""

from __future__ import annotations

import collections
from collections.abc import Generator, Iterator
import dataclasses
import os
import pathlib
import re

import cv2
import numpy as np

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
_LAST_NUMBER = re.compile(r"(\d+)(?!.*\d)")


@dataclasses.dataclass(frozen=True)
class Clip:
    """One film: `name` is unique in its list and safe as a folder name."""

    name: str
    path: pathlib.Path

    @property
    def is_folder(self) -> bool:
        return self.path.is_dir()


def _frame_number(path: pathlib.Path) -> int | None:
    found = _LAST_NUMBER.search(path.stem)
    return int(found.group(1)) if found else None


def frame_paths(folder: pathlib.Path) -> list[pathlib.Path]:
    """Returns the numbered pictures of a folder in the order of the numbers."""
    numbered = [
        (number, path.name, path)
        for path in folder.iterdir()
        if path.suffix.lower() in FRAME_SUFFIXES
        and not path.name.startswith(".")
        and (number := _frame_number(path)) is not None
    ]
    return [path for _, _, path in sorted(numbered)]


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
    paths = []
    seen = set()
    for parent, children, files in os.walk(root, followlinks=True):
        here = pathlib.Path(parent)
        if here.resolve() in seen:  # a link back up
            children.clear()
            continue
        seen.add(here.resolve())
        children[:] = sorted(c for c in children if not c.startswith("."))
        paths += [
            here / file
            for file in files
            if pathlib.Path(file).suffix.lower() in CONTAINER_SUFFIXES
            and not file.startswith(".")
        ]
        if frame_paths(here):
            paths.append(here)
    if not paths:
        raise ValueError(
            f"Found no clip below {root}. Expected files ending in "
            f"{', '.join(CONTAINER_SUFFIXES)} or folders of numbered "
            f"{', '.join(FRAME_SUFFIXES)} frames."
        )
    return _named(root, sorted(paths))


def _named(root: pathlib.Path, paths: list[pathlib.Path]) -> list[Clip]:
    """Names clips by their path below root; suffixes only part namesakes."""
    short = {path: _relative_name(root, path, path.stem) for path in paths}
    for path in paths:
        if path.is_dir():
            short[path] = _relative_name(root, path, path.name)
    count = collections.Counter(short.values())
    return [
        Clip(
            name=(
                short[path]
                if count[short[path]] == 1 or path.is_dir()
                else _relative_name(root, path, path.name)
            ),
            path=path,
        )
        for path in paths
    ]


def _relative_name(root: pathlib.Path, path: pathlib.Path, last: str) -> str:
    if path == root:
        return root.resolve().name
    parts = [*path.relative_to(root).parts[:-1], last]
    return "/".join(parts)


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


class FrameReader(Iterator[np.ndarray]):
    """Iterates over a clip's frames, and says afterwards what went wrong.

    Attributes:
        problem: '' or, once the frames have ended, why they ended early.
        source_size: (height, width) of the frames as stored, once known.
    """

    def __init__(self, clip: Clip, short_side_px: int | None = None) -> None:
        self.clip = clip
        self.problem = ""
        self.source_size: tuple[int, int] | None = None
        self._short_side_px = short_side_px
        self._num_read = 0
        pictures = _pictures if clip.is_folder else _container
        self._frames = pictures(self)

    def __next__(self) -> np.ndarray:
        frame = next(self._frames)
        size = frame.shape[:2]
        if self.source_size is None:
            self.source_size = size
        if size != self.source_size:
            self.problem = (
                f"frame {self._num_read} is {size[1]}x{size[0]}, not "
                f"{self.source_size[1]}x{self.source_size[0]}: reading ends"
            )
            self._frames.close()
            raise StopIteration
        self._num_read += 1
        frame = resized_to_short_side(frame, self._short_side_px)
        return cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)


def _pictures(
    reader: FrameReader,
) -> Generator[np.ndarray, None, None]:
    for path in frame_paths(reader.clip.path):
        frame = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if frame is None:
            reader.problem = f"{path.name} can't be decoded: reading ends"
            return
        yield frame


def _container(
    reader: FrameReader,
) -> Generator[np.ndarray, None, None]:
    capture = cv2.VideoCapture(str(reader.clip.path))
    try:
        if not capture.isOpened():
            reader.problem = "not a video that OpenCV can decode"
            return
        expected = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
        count = 0
        while True:
            is_read, frame = capture.read()
            if not is_read:
                break
            count += 1
            yield frame
        if count == 0:
            reader.problem = "holds no picture that OpenCV can decode"
        elif count < expected - 1:  # containers often announce one too many
            reader.problem = f"ends after {count} of {expected} frames"
    finally:
        capture.release()


def read_frames(clip: Clip, short_side_px: int | None = None) -> FrameReader:
    """Returns an iterator over a clip's frames, uint8 [H, W, 3] RGB.

    Frames end where the clip breaks or changes size; the iterator's `problem`
    then says why. A clip of which nothing can be read yields no frame.

    Args:
        clip: one of `list_clips`.
        short_side_px: frames are shrunk to this short side, never enlarged.
    """
    return FrameReader(clip, short_side_px)
