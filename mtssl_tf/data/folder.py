"""Reads pictures that are files: of a folder, a URL or a list of paths.

A class is a folder, where there are any.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
import os
import pathlib

import numpy as np

from mtssl_tf.data import listing
from mtssl_tf.data import pictures
from mtssl_tf.data import remote
from mtssl_tf.data import remote_reads
from mtssl_tf.files import names
from mtssl_tf.files import picture
from mtssl_tf.files import walk
from mtssl_tf.process import paths

PICTURE_SUFFIXES = (
    *(".jpg", ".jpeg", ".png", ".webp", ".bmp"),
    *(".tif", ".tiff", ".pgm", ".ppm", ".pnm", ".avif"),
)
_NUM_CHECKED = 16  # ours: paths of a list that are looked at before


def open_folder(
    folder: str,
    files_below: Callable[..., walk.Found] = listing.files_below,
) -> pictures.PictureSource:
    """Opens all pictures in and below a folder, or those of a list.

    Folders in it may be classes; only who asks for classes needs to know.

    Args:
        folder: where they are; or list:FILE.
        files_below: finds them; who keeps lists has one of its own.

    Raises:
        FileNotFoundError: there is no such folder, or nothing of a list.
        ValueError: there is no picture in it.
    """
    is_list = folder.startswith(paths.LIST)
    if not (is_list or paths.is_url(folder) or os.path.isdir(folder)):
        raise FileNotFoundError(
            f"--images={folder} is no folder. Name {paths.IMAGES_HELP}"
        )
    found = files_below(folder, PICTURE_SUFFIXES)
    if is_list:
        _check_list(folder, found.names)
    elif not found.names:
        raise ValueError(
            f"--images={folder} holds no picture. Expected files ending in "
            f"{', '.join(PICTURE_SUFFIXES)}, in it or in folders below it. "
            f"{found.describe_problems()}"
        )
    found.log_problems()
    if is_list:  # of any folders: a class is the one right above
        above = [name.rpartition("/")[0] for name in found.names]
        tops = [
            each.rpartition("/")[2] or name
            for each, name in zip(above, found.names)
        ]
    else:
        tops = [name.partition("/")[0] for name in found.names]
    class_names = sorted(set(tops))
    # A picture outside of them is its own top.
    if not set(class_names).isdisjoint(found.names):
        return _files(folder, found.names, (), None)
    number = {name: index for index, name in enumerate(class_names)}
    classes = np.fromiter(map(number.__getitem__, tops), np.int32, len(tops))
    return _files(folder, found.names, tuple(class_names), classes)


def _check_list(place: str, file_names: Sequence[str]) -> None:
    """Looks at some paths of a list, since each on its own is only skipped.

    Raises:
        ValueError: it is empty.
        FileNotFoundError: nothing is under any of some paths.
    """
    if not file_names:
        raise ValueError(
            f"--images={place} is empty. Write the path of a picture in each "
            "line."
        )
    stride = max(1, len(file_names) // _NUM_CHECKED)
    some = listing.paths_of(place, file_names[::stride])
    if not any(paths.is_url(path) or os.path.exists(path) for path in some):
        raise FileNotFoundError(
            f"--images={place}: nothing is at {names.shown(some[0])}, nor at "
            f"{len(some) - 1} others of its {len(file_names)} paths. What does "
            "not begin with / is looked for from the list's own folder."
        )


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

    def path(index: int) -> str:
        return listing.paths_of(folder, [file_names[index]])[0]

    is_far = paths.is_url(folder) or (
        folder.startswith(paths.LIST) and any(map(paths.is_url, file_names))
    )

    def fingerprint(index: int) -> str:
        parent = "" if classes is None else class_names[classes[index]]
        base = file_names[index].rpartition("/")[2]
        return f"{parent}/{base} {_size(path(index))}"

    def read_own(index: int) -> bytes:
        return _read(path(index))

    far = remote_reads.RemoteReads(read_own) if is_far else None
    read = far.read if far else read_own
    return pictures.PictureSource(
        description=names.as_text(folder),
        names=names.all_as_text(file_names),
        read=read,
        fingerprint=fingerprint,
        class_names=tuple(map(names.as_text, class_names)),
        read_class=(
            None if classes is None else lambda index: int(classes[index])
        ),
        read_ahead=far.read_ahead if far else None,
    )


def _size(path: str) -> str:
    # Of a far one it would cost a question over the network each.
    if paths.is_url(path):
        return "far"
    try:
        return str(os.path.getsize(path))
    except OSError:  # it is skipped, and named then
        return "gone"


def _read(path: str) -> bytes:
    if paths.is_url(path):
        return remote.read(path)
    return picture.read(path)
