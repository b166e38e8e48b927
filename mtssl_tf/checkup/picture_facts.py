"""Looks at pictures, by the very stream that training reads them from."""

from __future__ import annotations

import collections
from collections.abc import Sequence
import dataclasses
import os
import time
from typing import Any

import cv2
import numpy as np
import tensorflow as tf

from mtssl_tf.checkup import near_duplicates
from mtssl_tf.data import choose_range
from mtssl_tf.data import color
from mtssl_tf.data import folder as folder_lib
from mtssl_tf.data import listing
from mtssl_tf.data import open_source
from mtssl_tf.data import order
from mtssl_tf.data import pictures as pictures_lib
from mtssl_tf.data import skipped as skipped_lib
from mtssl_tf.data import source as source_lib
from mtssl_tf.files import names as names_lib
from mtssl_tf.files import picture_head
from mtssl_tf.files import value_range as value_range_lib
from mtssl_tf.files import walk
from mtssl_tf.process import paths

_THUMBNAIL_PX = 16  # ours: 768 bytes a picture
_COLORS_AT_ONCE = 1024


@dataclasses.dataclass(frozen=True)
class PictureFacts:
    """What was found.

    Attributes:
        source: all pictures, to read more of.
        num_seen: pictures that were looked at, usable or not.
        left_out: path and reason of what is no picture of the source.
        other_endings: ending -> number of files that are not read for it.
        unusable: name and reason of pictures that training skips.
        names: of the usable ones, n.
        sizes: int64 [n, 2], their width and height in pixels.
        is_grey: bool [n].
        groups: names of those that are nearly the same, a list a group.
        seconds: that reading and decoding them took.
        problem: '' or why training would stop at them.

    Pictures of more than 8 bits a value have `source.value_range`.
    """

    source: pictures_lib.PictureSource
    num_seen: int
    left_out: Sequence[tuple[str, str]]
    other_endings: dict[str, int]
    unusable: Sequence[tuple[str, str]]
    names: Sequence[str]
    sizes: np.ndarray
    is_grey: np.ndarray
    groups: Sequence[Sequence[str]]
    seconds: float
    problem: str

    @property
    def short_sides(self) -> np.ndarray:
        """int64 [n], in pixels."""
        return self.sizes.min(1)


def look(
    spec: str,
    share: float | None,
    max_s: float,
    smallest_side_px: int | None,
    value_range: value_range_lib.Choice = value_range_lib.AUTO,
) -> PictureFacts:
    """Looks at pictures in the random order of training's first pass.

    Args:
        spec: what `--images` names.
        share: of the pictures to look at; None takes as many as `max_s`
            allows.
        max_s: for that case.
        smallest_side_px: the short side that the tasks need, as
            `Source.stream` has it.
        value_range: of pictures of more than 8 bits a value.

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: there is no picture in it.
    """
    walks: list[walk.Found] = []

    def files_below(folder: str, suffixes: tuple[str, ...]) -> walk.Found:
        walks.append(listing.files_below(folder, suffixes))
        return walks[-1]

    source = open_source.open_pictures(spec, files_below)
    no_range = ""
    try:
        source = choose_range.settled(source, value_range)
    except ValueError as error:
        no_range = str(error)
    count = len(source)
    if share is not None:
        count = max(1, round(share * count))
        max_s = float("inf")
    skipped = skipped_lib.SkippedExamples()
    start = time.monotonic()
    seen, problem = _look(
        source, count, start + max_s, skipped, smallest_side_px
    )
    seconds = time.monotonic() - start
    groups = near_duplicates.find_groups(
        np.array([each.hash for each in seen], np.uint64),
        _stacked([each.thumbnail for each in seen]),
    )
    return PictureFacts(
        source=source,
        num_seen=len(seen) + len(skipped),
        left_out=[found for each in walks for found in each.problems],
        other_endings=_other_endings(paths.local_folders(spec)),
        unusable=skipped.items(),
        names=[each.name for each in seen],
        sizes=np.array([each.size for each in seen]).reshape(-1, 2),
        is_grey=_are_grey(_stacked([each.thumbnail for each in seen])),
        groups=[[seen[n].name for n in group] for group in groups],
        seconds=seconds,
        problem=no_range or problem,
    )


@dataclasses.dataclass(frozen=True)
class _Seen:
    name: str
    size: tuple[int, int]
    hash: np.uint64
    thumbnail: np.ndarray


def _look(
    source: pictures_lib.PictureSource,
    count: int,
    end_s: float,
    skipped: skipped_lib.SkippedExamples,
    smallest_side_px: int | None,
) -> tuple[list[_Seen], str]:
    positions = tf.data.Dataset.range(count)
    numbers = np.asarray(
        order.example_index(tf.range(count, dtype=tf.int64), len(source), 0)
    )
    stream = source.stream(positions, 0, skipped, smallest_side_px)
    examples = source_lib.iterate(stream.prefetch(tf.data.AUTOTUNE), source)
    seen = []
    try:
        for example in examples:
            number = int(numbers[int(example["position"])])
            name = source.names[number]
            # One that cannot be used has a substitute, which is seen anyway.
            if not skipped.has(name):
                seen.append(_describe(source, number, example))
            if time.monotonic() > end_s:
                break
    except source_lib.SourceError as error:
        return seen, str(error)
    finally:
        examples.close()
    return seen, ""


def _describe(
    source: pictures_lib.PictureSource, number: int, example: dict[str, Any]
) -> _Seen:
    image = example["image"].numpy()
    # The stream may give a large picture at an eighth of its size.
    head = picture_head.read_head(source.read(number))
    height, width = image.shape[:2]
    return _Seen(
        source.names[number],
        (head.width, head.height) if head else (width, height),
        near_duplicates.difference_hash(image),
        cv2.resize(
            image,
            (_THUMBNAIL_PX, _THUMBNAIL_PX),
            interpolation=cv2.INTER_AREA,
        ),
    )


def _stacked(thumbnails: list[np.ndarray]) -> np.ndarray:
    shape = (-1, _THUMBNAIL_PX, _THUMBNAIL_PX, 3)
    return np.array(thumbnails, np.uint8).reshape(shape)


def _are_grey(thumbnails: np.ndarray) -> np.ndarray:
    """Returns bool [n], by the measure that a task of colours goes by."""
    is_grey = np.zeros(len(thumbnails), bool)
    for start in range(0, len(thumbnails), _COLORS_AT_ONCE):
        part = thumbnails[start : start + _COLORS_AT_ONCE]
        ab = color.to_lab(tf.constant(part / np.float32(255)))[..., 1:]
        is_grey[start : start + len(part)] = ~np.asarray(color.is_colorful(ab))
    return is_grey


def _other_endings(folders: Sequence[str]) -> dict[str, int]:
    """Counts the files below folders that are not read as pictures."""
    endings = [
        os.path.splitext(name)[1].lower()
        for folder in folders
        for name in walk.files_below(folder, ("",)).names
    ]
    return dict(
        collections.Counter(
            names_lib.shown(ending) or "no ending"
            for ending in endings
            if ending not in folder_lib.PICTURE_SUFFIXES
        ).most_common()
    )
