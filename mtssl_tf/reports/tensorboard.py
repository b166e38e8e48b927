"""TensorBoard's side of a run: scalars, pictures and the profile."""

from __future__ import annotations

from collections.abc import Mapping
import pathlib

import numpy as np
import tensorflow as tf

FOLDER = "tensorboard"


class TensorBoardLog:
    """Writes what TensorBoard shows."""

    def __init__(self, workdir: pathlib.Path) -> None:
        self._folder = str(workdir / FOLDER)
        self._is_profiling = False
        self._writer = tf.summary.create_file_writer(self._folder)

    def write_scalars(
        self, step: int, prefix: str, values: Mapping[str, float]
    ) -> None:
        """Writes `prefix/name` for every value."""
        with self._writer.as_default(step):
            for name, value in values.items():
                tf.summary.scalar(f"{prefix}/{name}", value)

    def write_picture(self, step: int, name: str, picture: np.ndarray) -> None:
        """Writes a picture, uint8 [H, W, 3]."""
        with self._writer.as_default(step):
            tf.summary.image(name, picture[None])

    def start_profile(self) -> None:
        """Starts a trace, which xprof opens."""
        tf.profiler.experimental.start(self._folder)
        self._is_profiling = True

    def stop_profile(self) -> None:
        """Writes the trace, if one was started."""
        if self._is_profiling:
            tf.profiler.experimental.stop()
            self._is_profiling = False

    def close(self) -> None:
        """Flushes everything."""
        self.stop_profile()
        self._writer.close()
