"""Keeps log lines of TensorFlow and FFmpeg out of the user's terminal.

Nothing can be done about what they say: a machine without a GPU, an operation
that is deprecated within tf_keras, how long a callback of its checkpoints took.
What FFmpeg, within OpenCV, says of a broken clip is said by a line of ours.
Faults come as exceptions, which this leaves alone. Who sets
TF_CPP_MIN_LOG_LEVEL gets what he asks for.
"""

from __future__ import annotations

import logging
import os

# OpenCV's: FFmpeg's "quiet".
_OF_OPENCV = {"OPENCV_FFMPEG_LOGLEVEL": "-8", "OPENCV_LOG_LEVEL": "SILENT"}
_LEVEL = "TF_CPP_MIN_LOG_LEVEL"
_NONE = "3"  # TensorFlow's: not even "failed call to cuInit", an error to it


def silence() -> None:
    """Does so for this process and its children, before TensorFlow's import."""
    for name, level in _OF_OPENCV.items():
        os.environ.setdefault(name, level)
    if os.environ.setdefault(_LEVEL, _NONE) != _NONE:
        return
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    # Parts of TensorFlow log by absl, as this program does.
    logging.getLogger("absl").addFilter(_is_worth_a_line)


def _is_worth_a_line(record: logging.LogRecord) -> bool:
    is_foreign = f"{os.sep}tensorflow{os.sep}" in record.pathname
    return record.levelno >= logging.ERROR or not is_foreign
