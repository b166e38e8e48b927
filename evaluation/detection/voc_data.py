"""PASCAL VOC pictures with their objects, from a devkit folder or from TFDS.

A devkit folder is VOCdevkit/VOC2007 or any folder laid out like it:
Annotations/ID.xml, ImageSets/Main/SPLIT.txt, JPEGImages/ID.jpg. What is wrong
with an entry either stops the reading or is skipped and counted, as the caller
chooses.
"""

from __future__ import annotations

from concurrent import futures
import dataclasses
import hashlib
import pathlib

import numpy as np

from evaluation.detection import scored_boxes
from evaluation.detection import voc_devkit
from evaluation.detection import voc_picture
from mtssl_tf.process import cores
from mtssl_tf.process import paths


@dataclasses.dataclass(frozen=True)
class VocSplit:
    """The pictures of one split, and how many entries were skipped and why."""

    name: str
    pictures: tuple[voc_picture.Picture, ...]
    skipped: dict[str, int]

    def ground_truth(self) -> scored_boxes.GroundTruth:
        """Every object; pictures are numbered in the order of `pictures`."""
        return scored_boxes.join_ground_truth(
            [
                scored_boxes.GroundTruth(
                    np.full(len(picture.classes), index),
                    picture.classes,
                    picture.boxes,
                    picture.is_difficult,
                )
                for index, picture in enumerate(self.pictures)
            ]
        )

    def digest(self) -> str:
        """A digest of names, sizes and objects, to tell data sets apart."""
        digest = hashlib.sha256()
        for picture in self.pictures:
            digest.update(
                f"{picture.name} {picture.height} {picture.width}".encode()
            )
            digest.update(picture.boxes.astype("<f4").tobytes())
            digest.update(picture.classes.astype("<i4").tobytes())
            digest.update(picture.is_difficult.tobytes())
        return digest.hexdigest()

    def describe(self) -> dict:
        """Counts and digest, for a result file."""
        return {
            "split": self.name,
            "pictures": len(self.pictures),
            "objects": sum(len(one.classes) for one in self.pictures),
            "difficult": sum(
                int(one.is_difficult.sum()) for one in self.pictures
            ),
            "skipped": self.skipped,
            "digest": self.digest(),
        }


def load_split(source: str, split: str, is_strict: bool) -> VocSplit:
    """Reads a split.

    Args:
        source: a devkit folder, or 'tfds:voc/2007'.
        split: name of a list in ImageSets/Main; for TFDS one of its splits
            or 'trainval'.
        is_strict: the first wrong entry is an error; otherwise wrong entries
            are skipped and counted.

    Raises:
        FileNotFoundError: there is no such data.
        ValueError: an entry is wrong and `is_strict`, or nothing is left.
    """
    problems = voc_picture.Problems(is_strict)
    if source.startswith(paths.TFDS):
        from evaluation.detection import voc_tfds  # imports TensorFlow

        pictures = voc_tfds.load_pictures(
            source.removeprefix(paths.TFDS), split, problems
        )
    else:
        pictures = voc_devkit.load_pictures(
            pathlib.Path(source), split, problems
        )
    return _checked(VocSplit(split, tuple(pictures), dict(problems.counts)))


def with_whole_pictures(split: VocSplit, is_strict: bool) -> VocSplit:
    """Decodes every picture, and leaves those out that are broken.

    What is found only where a picture is used is found after hours: a test
    picture's once the training is over.

    Args:
        split: as read; of its pictures only the heads have been looked at.
        is_strict: the first broken picture is an error.

    Raises:
        ValueError: a picture is broken and `is_strict`, or nothing is left.
    """
    problems = voc_picture.Problems(is_strict, split.skipped)
    kept = []
    with futures.ThreadPoolExecutor(cores.count()) as pool:
        found = pool.map(_problem_of, split.pictures)
        for picture, problem in zip(split.pictures, found):
            if problem:
                problems.report("broken pictures", problem)
            else:
                kept.append(picture)
    return _checked(VocSplit(split.name, tuple(kept), dict(problems.counts)))


def _checked(split: VocSplit) -> VocSplit:
    """Raises ValueError where nothing is left that a score could count."""
    if all(picture.is_difficult.all() for picture in split.pictures):
        raise ValueError(
            f"Split {split.name!r} has {len(split.pictures)} pictures and no "
            "object that can be used and is not difficult; skipped: "
            f"{split.skipped}. Check --data."
        )
    return split


def _problem_of(picture: voc_picture.Picture) -> str:
    try:
        picture.load_rgb()
    except (ValueError, OSError) as error:
        return str(error)
    return ""
