"""Masks drawn over their frames: a contact sheet and a short video."""

from __future__ import annotations

import os
import pathlib

import cv2
import numpy as np

from mtssl_tf.files import names
from mtssl_tf.files import picture as picture_lib
from mtssl_tf.motion import stream

MOVING_RGB = (255, 32, 32)
_THUMBNAIL_WIDTH = 240
_SHEET_COLUMNS = 4
_SHEET_ROWS = 5
_VIDEO_FPS = 12.0
_VIDEO_FRAMES = 240  # a short video, whatever the clip's length


def drawn(frame: np.ndarray, mask: stream.MotionMask) -> np.ndarray:
    """Returns a frame with what moves tinted, or grey where that is unknown.

    Args:
        frame: uint8 [H, W, 3] RGB.
        mask: of the frame.

    Returns:
        uint8 [H, W, 3] RGB.
    """
    if not mask.is_known:
        grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
        return cv2.cvtColor(grey // 2, cv2.COLOR_GRAY2RGB)
    tinted = frame.copy()
    color = np.array(MOVING_RGB, np.uint8)
    tinted[mask.moving] = tinted[mask.moving] // 2 + color // 2
    return tinted


class Overlay:
    """Collects drawn frames; memory does not grow with the clip's length."""

    def __init__(self, stem: pathlib.Path) -> None:
        self._stem = stem
        self._thumbnails: list[np.ndarray] = []
        self._stride = 1
        self._count = 0
        self._video: cv2.VideoWriter | None = None

    def add(self, frame: np.ndarray, mask: stream.MotionMask) -> None:
        picture = cv2.cvtColor(drawn(frame, mask), cv2.COLOR_RGB2BGR)
        if self._count < _VIDEO_FRAMES:
            self._write(picture)
        if self._count % self._stride == 0:
            self._thumbnails.append(_thumbnail(picture))
        if len(self._thumbnails) > _SHEET_COLUMNS * _SHEET_ROWS:
            self._thumbnails = self._thumbnails[::2]
            self._stride *= 2
        self._count += 1

    def _write(self, picture: np.ndarray) -> None:
        # Video codecs want even sides.
        height, width = (side - side % 2 for side in picture.shape[:2])
        if self._video is None:
            self._video = cv2.VideoWriter(
                # An absolute path, since FFmpeg takes `a:b` for a protocol.
                names.for_opencv(os.path.abspath(f"{self._stem}.mp4")),
                cv2.VideoWriter.fourcc(*"mp4v"),
                _VIDEO_FPS,
                (width, height),
            )
            if not self._video.isOpened():
                raise OSError(
                    f"{self._stem}.mp4 cannot be written: there is no room, or "
                    "this OpenCV has no encoder for it. Leave --overlay out."
                )
        self._video.write(np.ascontiguousarray(picture[:height, :width]))

    def close(self) -> None:
        """Finishes the video and writes the contact sheet."""
        if self._video is not None:
            self._video.release()
        if self._thumbnails:
            picture_lib.save(f"{self._stem}.jpg", _sheet(self._thumbnails))


def _thumbnail(picture: np.ndarray) -> np.ndarray:
    height, width = picture.shape[:2]
    size = (_THUMBNAIL_WIDTH, max(1, round(height * _THUMBNAIL_WIDTH / width)))
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)


def _sheet(thumbnails: list[np.ndarray]) -> np.ndarray:
    empty = np.zeros_like(thumbnails[0])
    padding = [empty] * (-len(thumbnails) % _SHEET_COLUMNS)
    tiles = thumbnails + padding
    rows = [
        np.hstack(tiles[start : start + _SHEET_COLUMNS])
        for start in range(0, len(tiles), _SHEET_COLUMNS)
    ]
    return np.vstack(rows)
