"""Reads pictures from a folder, with a class a folder where there are any."""

from __future__ import annotations

from collections.abc import Callable, Sequence
import os
import pathlib

import numpy as np

from mtssl_tf.data import large_constant
from mtssl_tf.data import pictures
from mtssl_tf.files import names
from mtssl_tf.files import walk
from mtssl_tf.lazy_imports import tf

PICTURE_SUFFIXES = (
    *(".jpg", ".jpeg", ".png", ".webp", ".bmp"),
    *(".tif", ".tiff", ".pgm", ".ppm", ".pnm", ".avif"),
)


def open_folder(
    folder: str,
    files_below: Callable[..., walk.Found] = walk.files_below,
) -> pictures.PictureSource:
    """Opens all pictures in and below a folder.

    Folders in it may be classes; only who asks for classes needs to know.

    Args:
        folder: where they are.
        files_below: finds them; who keeps lists has one of its own.

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: there is no picture in it.
    """
    if not os.path.isdir(folder):
        raise FileNotFoundError(
            f"--images={folder} is no folder. Name a folder of pictures, "
            "tfds:NAME:SPLIT or tfrecord:GLOB."
        )
    found = files_below(folder, PICTURE_SUFFIXES)
    if not found.names:
        raise ValueError(
            f"--images={folder} holds no picture. Expected files ending in "
            f"{', '.join(PICTURE_SUFFIXES)}, in it or in folders below it. "
            f"{found.describe_problems()}"
        )
    found.log_problems()
    tops = [name.partition("/")[0] for name in found.names]
    class_names = sorted(set(tops))
    # A picture outside of them is its own top.
    if not set(class_names).isdisjoint(found.names):
        return _files(folder, found.names, (), None)
    number = {name: index for index, name in enumerate(class_names)}
    classes = np.fromiter(map(number.__getitem__, tops), np.int32, len(tops))
    return _files(folder, found.names, tuple(class_names), classes)


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
    for name in found.names:
        # A picture beside the folders is of no class.
        by_class.get(name.partition("/")[0], []).append(name)
    empty = [name for name, names_in in by_class.items() if not names_in]
    if empty:
        raise ValueError(
            f"In {folder} these classes hold no picture: {names.some(empty)}. "
            f"Remove their folders, or add {', '.join(PICTURE_SUFFIXES)}. "
            f"{found.describe_problems()}"
        )
    found.log_problems()
    counts = [len(names_in) for names_in in by_class.values()]
    return _files(
        folder,
        [name for names_in in by_class.values() for name in names_in],
        tuple(class_names),
        np.repeat(np.arange(len(class_names)), counts),
    )


def _top(path: str, folder: str) -> str:
    return pathlib.Path(os.path.relpath(path, folder)).parts[0]


def _files(
    folder: str,
    file_names: Sequence[str],
    class_names: tuple[str, ...],
    classes: np.ndarray | None,
) -> pictures.PictureSource:
    """Returns the source of these files; `classes` has a number for each."""
    start = os.path.join(folder, "")

    def path(index: int) -> pathlib.Path:
        return pathlib.Path(start + file_names[index])

    def fingerprint(index: int) -> str:
        parent = "" if classes is None else class_names[classes[index]]
        return f"{parent}/{path(index).name} {path(index).stat().st_size}"

    paths_in_graph = large_constant.LargeConstant(
        lambda: [names.as_bytes(start + name) for name in file_names]
    )
    numbers = None
    if classes is not None:
        numbers = large_constant.LargeConstant(lambda: classes.astype(np.int32))
    return pictures.PictureSource(
        description=names.as_text(folder),
        names=names.all_as_text(file_names),
        read=lambda index: path(index).read_bytes(),
        read_in_graph=lambda index: tf.io.read_file(
            tf.gather(paths_in_graph(), index)
        ),
        fingerprint=fingerprint,
        class_names=tuple(map(names.as_text, class_names)),
        read_class_in_graph=(
            None
            if numbers is None
            else lambda index: tf.gather(numbers(), index)
        ),
    )
