"""TensorBoard's side of a run: scalars, pictures and the profile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import contextlib
import os
import pathlib
from typing import Any

import numpy as np

from mtssl_tf.files import names as names_lib
from mtssl_tf.lazy_imports import tf

FOLDER = "tensorboard"


class TensorBoardLog:
    """Writes what TensorBoard shows."""

    def __init__(self, workdir: pathlib.Path) -> None:
        self._folder = workdir / FOLDER
        self._is_profiling = False
        # Bytes, whatever they are: of text TensorFlow takes UTF-8 alone.
        self._writer = tf.summary.create_file_writer(os.fsencode(self._folder))

    def write_scalars(
        self, step: int, prefix: str, values: Mapping[str, float]
    ) -> None:
        """Writes `prefix/name` for every value."""
        with self._at(step):
            for name, value in values.items():
                tf.summary.scalar(f"{prefix}/{name}", np.float32(value))

    def write_settings(
        self, settings: Mapping[str, Any], figures: Sequence[str]
    ) -> None:
        """Writes a row of the table of runs, TensorBoard's HPARAMS.

        Args:
            settings: flat, by name.
            figures: names of scalars that stand beside them.
        """
        # Only here: it looks for TensorBoard's own parts, which takes a while.
        from tensorboard.plugins.hparams import api

        plain = {
            name: value
            if isinstance(value, (bool, int, float))
            else names_lib.as_text(str(value))
            for name, value in settings.items()
        }
        with self._at(0):
            api.hparams_config(
                [api.HParam(name) for name in plain],
                [api.Metric(name) for name in figures],
            )
            api.hparams(plain, trial_id=names_lib.as_text(self._folder))

    def write_text(self, step: int, name: str, text: str) -> None:
        """Writes a text, and shows it at once."""
        with self._at(step):
            tf.summary.text(name, text)
        self._writer.flush()

    def write_picture(self, step: int, name: str, picture: np.ndarray) -> None:
        """Writes a picture, uint8 [H, W, 3]."""
        with self._at(step):
            tf.summary.image(name, picture[None])

    def start_profile(self) -> None:
        """Starts a trace, which xprof opens."""
        tf.profiler.experimental.start(str(self._folder))
        self._is_profiling = True

    def stop_profile(self) -> None:
        """Writes the trace, if one was started."""
        if self._is_profiling:
            tf.profiler.experimental.stop()
            self._is_profiling = False

    def _at(self, step: int) -> contextlib.AbstractContextManager:
        """Returns a context that writes for a step.

        In NumPy's numbers: TensorFlow keeps a tensor for every Python number
        that it has ever seen, for as long as the process lives.
        """
        return self._writer.as_default(np.int64(step))

    def close(self) -> None:
        """Flushes everything."""
        self.stop_profile()
        self._writer.close()
