"""Refuses `.keras` files that would unpack to far more than they weigh.

Keras stores weights as they are. So what a file unpacks to is close to its
size, and one that claims much more was not written by Keras.
"""

from __future__ import annotations

import os
import pathlib
import zipfile

import h5py

_WEIGHTS = "model.weights.h5"
_MAX_GROWTH = 2  # ours
_SLACK_BYTES = 2**24  # ours: above it for small files
_MAX_JSON_BYTES = 2**24  # ours: a trunk of 101 layers has 0.5 MB


def check(path: str | os.PathLike) -> None:
    """Checks what a file claims, with none of its weights read.

    Raises:
        OSError: it cannot be opened.
        ValueError: it is no `.keras` file, or unpacks to too much.
    """
    bound = _MAX_GROWTH * pathlib.Path(path).stat().st_size + _SLACK_BYTES
    try:
        with zipfile.ZipFile(path) as archive:
            _check_members(path, archive, bound)
            if (damaged := archive.testzip()) is not None:
                raise zipfile.BadZipFile(f"{damaged} in it is damaged")
            with archive.open(_WEIGHTS) as stream:
                claimed = _count_bytes(stream)
    except (zipfile.BadZipFile, KeyError, RuntimeError, OSError) as error:
        raise ValueError(
            f"{path} is no whole .keras file: {error}. Export it again."
        ) from error
    if claimed > bound:
        raise ValueError(
            f"Refusing {path}: its weights claim {claimed} bytes, expected at "
            f"most {bound}. Nothing was loaded."
        )


def _check_members(
    path: str | os.PathLike, archive: zipfile.ZipFile, bound: int
) -> None:
    members = archive.infolist()
    total = sum(member.file_size for member in members)
    if total > bound:
        raise ValueError(
            f"Refusing {path}: it unpacks to {total} bytes, expected at most "
            f"{bound}. Nothing was loaded."
        )
    for member in members:
        is_json = member.filename.endswith(".json")
        if is_json and member.file_size > _MAX_JSON_BYTES:
            raise ValueError(
                f"Refusing {path}: {member.filename} in it has "
                f"{member.file_size} bytes, expected at most {_MAX_JSON_BYTES}."
            )


def _count_bytes(stream) -> int:
    """Returns the bytes that all arrays of an HDF5 file unpack to."""
    total = 0

    def add(_: str, item: h5py.Dataset | h5py.Group) -> None:
        nonlocal total
        if isinstance(item, h5py.Dataset):
            total += (item.size or 0) * item.dtype.itemsize

    with h5py.File(stream, "r") as file:
        file.visititems(add)
    return total
