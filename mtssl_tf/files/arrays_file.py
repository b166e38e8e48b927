"""Reads .npz files, with their name in every error."""

from __future__ import annotations

import os
import pathlib

import numpy as np


def load(path: str | os.PathLike, remedy: str) -> dict[str, np.ndarray]:
    """Returns the arrays of an .npz file, by name.

    Args:
        path: of the file.
        remedy: what to do about one that is damaged, as a sentence.

    Raises:
        OSError: it cannot be read.
        ValueError: it is damaged; names the file.
    """
    data = pathlib.Path(path).open("rb")
    try:
        with data, np.load(data) as stored:
            return {name: stored[name] for name in stored.files}
    except Exception as error:  # zipfile, zlib and NumPy have many
        raise ValueError(
            f"{os.fspath(path)} is damaged ({type(error).__name__}). {remedy}"
        ) from error
