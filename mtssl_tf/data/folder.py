"""Reads pictures from a folder, with a class a folder where there are any."""

from __future__ import annotations

from collections.abc import Sequence
import os
import pathlib

import numpy as np

from mtssl_tf.data import pictures
from mtssl_tf.files import names
from mtssl_tf.files import walk
from mtssl_tf.lazy_imports import tf

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")


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
    found = walk.files_below(folder, PICTURE_SUFFIXES)
    if not found.files:
        raise ValueError(
            f"--images={folder} holds no picture. Expected files ending in "
            f"{', '.join(PICTURE_SUFFIXES)}, in it or in folders below it. "
            f"{found.describe_problems()}"
        )
    found.log_problems()
    relative = [os.path.relpath(path, folder) for path in found.files]
    tops = [pathlib.Path(path).parts[0] for path in relative]
    if set(tops) & set(relative):  # a picture outside of them
        return _files(folder, found.files, (), None)
    class_names, classes = np.unique(tops, return_inverse=True)
    return _files(folder, found.files, tuple(class_names.tolist()), classes)


def open_class_folders(folder: str) -> pictures.PictureSource:
    """Opens a folder with a folder a class, class by class.

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: it has no class folder, or a class has no picture.
    """
    if not os.path.isdir(folder):
        raise FileNotFoundError(
            f"{folder} is no folder. Name a folder with a folder a class, or "
            "tfds:NAME:SPLIT."
        )
    found = walk.files_below(folder, PICTURE_SUFFIXES)
    class_names = sorted(
        {_top(path, folder) for path in found.folders if path != found.folder}
    )
    if not class_names:
        raise ValueError(
            f"{folder} holds no folders. Expected a folder a class, with the "
            f"class's pictures in it. {found.describe_problems()}"
        )
    by_class: dict[str, list[str]] = {name: [] for name in class_names}
    for path in found.files:
        # A picture beside the folders is of no class.
        by_class.get(_top(path, folder), []).append(path)
    empty = [name for name, paths in by_class.items() if not paths]
    if empty:
        raise ValueError(
            f"In {folder} these classes hold no picture: {names.some(empty)}. "
            f"Remove their folders, or add {', '.join(PICTURE_SUFFIXES)}. "
            f"{found.describe_problems()}"
        )
    found.log_problems()
    counts = [len(paths) for paths in by_class.values()]
    return _files(
        folder,
        [path for paths in by_class.values() for path in paths],
        tuple(class_names),
        np.repeat(np.arange(len(class_names)), counts),
    )


def _top(path: str, folder: str) -> str:
    return pathlib.Path(os.path.relpath(path, folder)).parts[0]


def _files(
    folder: str,
    paths: Sequence[str],
    class_names: tuple[str, ...],
    classes: np.ndarray | None,
) -> pictures.PictureSource:
    """Returns the source of these files; `classes` has a number for each."""
    path_tensor = np.array([names.as_bytes(path) for path in paths], object)

    def fingerprint(index: int) -> str:
        path = pathlib.Path(paths[index])
        parent = "" if classes is None else class_names[classes[index]]
        return f"{parent}/{path.name} {path.stat().st_size}"

    numbers = None if classes is None else classes.astype(np.int32)
    return pictures.PictureSource(
        description=names.as_text(folder),
        names=tuple(
            names.as_text(os.path.relpath(path, folder)) for path in paths
        ),
        read=lambda index: pathlib.Path(paths[index]).read_bytes(),
        read_in_graph=lambda index: tf.io.read_file(
            tf.gather(path_tensor, index)
        ),
        fingerprint=fingerprint,
        class_names=tuple(map(names.as_text, class_names)),
        read_class_in_graph=(
            None if numbers is None else lambda index: tf.gather(numbers, index)
        ),
    )
