"""Reads pictures from a folder, with a class a folder where there are any."""

from __future__ import annotations

from collections.abc import Sequence
import os
import pathlib

import numpy as np

from mtssl_tf.data import pictures
from mtssl_tf.lazy_imports import tf

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")

_MAX_NAMED = 8  # classes that a message names


def list_pictures(folder: str) -> list[str]:
    """Returns the paths of all pictures in and below a folder, sorted."""
    return sorted(
        os.path.join(parent, file)
        for parent, _, files in os.walk(folder, followlinks=True)
        for file in files
        if pathlib.Path(file).suffix.lower() in PICTURE_SUFFIXES
    )


def open_folder(folder: str) -> pictures.PictureSource:
    """Opens all pictures in and below a folder.

    Folders in it may be classes; only who asks for classes needs to know.

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: there is no picture in it.
    """
    if not os.path.isdir(folder):
        raise FileNotFoundError(
            f"--images={folder} is no folder. Name a folder of pictures, "
            "tfds:NAME:SPLIT or tfrecord:GLOB."
        )
    paths = list_pictures(folder)
    if not paths:
        raise ValueError(
            f"--images={folder} holds no picture. Expected files ending in "
            f"{', '.join(PICTURE_SUFFIXES)}, in it or in folders below it."
        )
    names = [os.path.relpath(path, folder) for path in paths]
    tops = [pathlib.Path(name).parts[0] for name in names]
    if set(tops) & set(names):  # a picture outside of them
        return _files(folder, paths, (), None)
    class_names, classes = np.unique(tops, return_inverse=True)
    return _files(folder, paths, tuple(class_names.tolist()), classes)


def open_class_folders(folder: str) -> pictures.PictureSource:
    """Opens a folder with a folder a class, class by class.

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: it has no class folder, or a class has no picture.
    """
    root = pathlib.Path(folder)
    if not root.is_dir():
        raise FileNotFoundError(
            f"{folder} is no folder. Name a folder with a folder a class, or "
            "tfds:NAME:SPLIT."
        )
    names = sorted(
        path.name
        for path in root.iterdir()
        if path.is_dir() and not path.name.startswith(".")
    )
    if not names:
        raise ValueError(
            f"{folder} holds no folders. Expected a folder a class, with the "
            "class's pictures in it."
        )
    by_class = [list_pictures(os.path.join(folder, name)) for name in names]
    empty = [name for name, paths in zip(names, by_class) if not paths]
    if empty:
        raise ValueError(
            f"In {folder} these classes hold no picture: {some(empty)}. "
            f"Remove their folders, or add {', '.join(PICTURE_SUFFIXES)}."
        )
    return _files(
        folder,
        [path for paths in by_class for path in paths],
        tuple(names),
        np.repeat(np.arange(len(names)), [len(paths) for paths in by_class]),
    )


def some(names: Sequence[str]) -> str:
    """Returns the first names, and how many more there are."""
    shown = ", ".join(names[:_MAX_NAMED])
    more = len(names) - _MAX_NAMED
    return f"{shown} and {more} more" if more > 0 else shown


def _files(
    folder: str,
    paths: Sequence[str],
    class_names: tuple[str, ...],
    classes: np.ndarray | None,
) -> pictures.PictureSource:
    """Returns the source of these files; `classes` has a number for each."""
    path_tensor = np.array(paths)

    def fingerprint(index: int) -> str:
        path = pathlib.Path(paths[index])
        parent = "" if classes is None else class_names[classes[index]]
        return f"{parent}/{path.name} {path.stat().st_size}"

    numbers = None if classes is None else classes.astype(np.int32)
    return pictures.PictureSource(
        description=folder,
        names=tuple(os.path.relpath(path, folder) for path in paths),
        read=lambda index: pathlib.Path(paths[index]).read_bytes(),
        read_in_graph=lambda index: tf.io.read_file(
            tf.gather(path_tensor, index)
        ),
        fingerprint=fingerprint,
        class_names=class_names,
        read_class_in_graph=(
            None if numbers is None else lambda index: tf.gather(numbers, index)
        ),
    )
