"""VOC pictures from a devkit folder, such as VOCdevkit/VOC2007."""

from __future__ import annotations

import pathlib
import re

from evaluation.detection import voc_annotation
from evaluation.detection import voc_picture
from mtssl_tf.files import picture_head

_START_BYTES = 2**16  # ours: a picture's size comes early, as a rule,
_MAX_START_BYTES = 2**24  # ours: or late, behind others' data about it


def load_pictures(
    folder: pathlib.Path, split: str, problems: voc_picture.Problems
) -> list[voc_picture.Picture]:
    """Reads the pictures of ImageSets/Main/`split`.txt.

    Args:
        folder: holds Annotations, ImageSets and JPEGImages.
        split: name of the list.
        problems: takes what is wrong.

    Raises:
        FileNotFoundError: there is no such folder or list.
    """
    pictures = []
    for name in _split_names(folder, split, problems):
        annotation = folder / "Annotations" / f"{name}.xml"
        file = folder / "JPEGImages" / f"{name}.jpg"
        if not annotation.is_file():
            problems.report(
                "entries without annotation",
                f"Split {split!r} lists {name}, but there is no {annotation}.",
            )
            continue
        if not file.is_file():  # a pipe would be waited on for ever
            problems.report(
                "missing pictures",
                f"Split {split!r} lists {name}, but {file} is no file.",
            )
            continue
        try:
            size = voc_picture.stored_size(_read_start(file))
            objects = voc_annotation.load_objects(annotation)
        except (ValueError, OSError) as error:
            problems.report("unreadable entries", f"{name}: {error}")
        else:
            pictures.append(
                voc_picture.checked_picture(
                    name, size, objects, problems, file=file
                )
            )
    return pictures


def _read_start(file: pathlib.Path) -> bytes:
    """Returns as much of a picture as says how large it is."""
    with file.open("rb") as stream:
        start = stream.read(_START_BYTES)
        if picture_head.read_head(start) is None:
            start += stream.read(_MAX_START_BYTES)
    return start


def _split_names(
    folder: pathlib.Path, split: str, problems: voc_picture.Problems
) -> list[str]:
    """The ids that a list names; a second column (per-class lists) is read
    over."""
    lists = folder / "ImageSets" / "Main"
    if not lists.is_dir():
        raise FileNotFoundError(
            f"{folder} is no VOC devkit folder: it has no ImageSets/Main. Give "
            "the folder that holds Annotations, ImageSets and JPEGImages, "
            "such as VOCdevkit/VOC2007."
        )
    path = lists / f"{split}.txt"
    if not path.is_file():
        known = sorted(
            one.stem for one in lists.glob("*.txt") if "_" not in one.stem
        )
        raise FileNotFoundError(
            f"No split {split!r} in {lists}; it has {', '.join(known)}."
        )
    names = []
    for line in path.read_text("utf-8-sig", "replace").splitlines():
        name = line.split()[0] if line.split() else ""
        if re.fullmatch(r"\w[\w.-]*", name):
            names.append(name)
        elif name:
            problems.report(
                "entries that are no id",
                f"{path} lists {name!r}, which is no VOC id.",
            )
    return list(dict.fromkeys(names))
