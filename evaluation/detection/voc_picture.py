"""One VOC picture with its objects, and what to do about wrong entries."""

from __future__ import annotations

import collections
from collections.abc import Mapping
import dataclasses
import pathlib

from absl import logging
import cv2
import numpy as np

from evaluation.detection import boxes as box_form
from evaluation.detection import voc_annotation
from mtssl_tf.files import picture

CLASSES = (
    "aeroplane",
    "bicycle",
    "bird",
    "boat",
    "bottle",
    "bus",
    "car",
    "cat",
    "chair",
    "cow",
    "diningtable",
    "dog",
    "horse",
    "motorbike",
    "person",
    "pottedplant",
    "sheep",
    "sofa",
    "train",
    "tvmonitor",
)

# Half a pixel: an edge on the border may carry a rounding error, but an index
# counted from 0 instead of 1 is off by a whole one.
_BORDER_TOLERANCE_PX = 0.5
_MAX_NAMED = 20  # ours: of one kind of wrong entry; the others are counted


@dataclasses.dataclass(frozen=True)
class Picture:
    """A picture and its objects.

    Attributes:
        name: VOC's id, such as '000005'.
        height: in pixels.
        width: in pixels.
        boxes: float64 [N, 4], as in `boxes`.
        classes: int64 [N], indices into `CLASSES`.
        is_difficult: bool [N].
        file: the JPEG file, or
        encoded: the JPEG bytes.
    """

    name: str
    height: int
    width: int
    boxes: np.ndarray
    classes: np.ndarray
    is_difficult: np.ndarray
    file: pathlib.Path | None = None
    encoded: bytes | None = None

    def load_rgb(self) -> np.ndarray:
        """Decodes the picture: uint8 [H, W, 3].

        Raises:
            ValueError: the data is no picture of the size it should have.
        """
        try:
            data = (
                self.encoded if self.file is None else picture.read(self.file)
            )
            bgr = picture.decode(data or b"")
        except picture.UnusablePictureError as error:
            raise ValueError(
                f"Picture {self.name} cannot be used: {error}. Copy it again."
            ) from error
        shape = bgr.shape[:2]
        if shape != (self.height, self.width):
            raise ValueError(
                f"Picture {self.name} should decode to height and width "
                f"{(self.height, self.width)}; got {shape}. Copy it again."
            )
        return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)


class Problems:
    """What to do about a wrong entry: stop, or count it and go on."""

    def __init__(
        self, is_strict: bool, counts: Mapping[str, int] | None = None
    ):
        self._is_strict = is_strict
        self.counts: collections.Counter[str] = collections.Counter(
            counts or {}
        )

    def report(self, kind: str, message: str) -> None:
        """Counts a skipped entry, and names the first ones of a kind.

        Raises:
            ValueError: when strict; says the message.
        """
        if self._is_strict:
            raise ValueError(
                f"{message} Correct it, or leave out --strict to skip such "
                "entries."
            )
        self.counts[kind] += 1
        if self.counts[kind] <= _MAX_NAMED:
            logging.warning("Skipped: %s", message)


def checked_picture(
    name: str,
    size: tuple[int, int],
    objects: list[voc_annotation.VocObject],
    problems: Problems,
    **data,
) -> Picture:
    """A picture with those of its objects that are right.

    Args:
        name: the picture's id.
        size: its height and width.
        objects: as annotated.
        problems: takes what is wrong.
        **data: `file` or `encoded`.
    """
    rows = []
    for one in objects:
        box = box_form.from_voc(np.array(one.corners, np.float64))
        if one.name not in CLASSES:
            problems.report(
                "objects of unknown class",
                f"Picture {name} has an object of class {one.name!r}; "
                f"expected one of {', '.join(CLASSES)}.",
            )
        elif np.any(box[2:] <= box[:2]):
            problems.report(
                "objects without area",
                f"Picture {name} has an object with x_min, y_min, x_max, "
                f"y_max = {one.corners}, which has no area.",
            )
        elif _is_outside(box, size):
            problems.report(
                "objects outside the picture",
                f"Picture {name} has an object with x_min, y_min, x_max, "
                f"y_max = {one.corners}; expected 1 to {size[1]} and 1 to "
                f"{size[0]}, counted from 1.",
            )
        else:
            rows.append((box, CLASSES.index(one.name), one.is_difficult))
    limits = np.array([*size, *size], np.float64)
    boxes = np.reshape([row[0] for row in rows], (-1, 4))
    return Picture(
        name=name,
        height=size[0],
        width=size[1],
        boxes=np.clip(boxes, 0, limits),
        classes=np.array([row[1] for row in rows], np.int64),
        is_difficult=np.array([row[2] for row in rows], bool),
        **data,
    )


def _is_outside(box: np.ndarray, size: tuple[int, int]) -> bool:
    limits = np.array(size) + _BORDER_TOLERANCE_PX
    return bool(
        np.any(box[:2] < -_BORDER_TOLERANCE_PX) or np.any(box[2:] > limits)
    )


def stored_size(contents: bytes) -> tuple[int, int]:
    """Height and width from a picture's head, the pixels left unread.

    Raises:
        ValueError: the bytes are no picture that can be decoded.
    """
    try:
        head = picture.check(contents)
    except picture.UnusablePictureError as error:
        raise ValueError(f"Its picture cannot be used: {error}.") from error
    return head.height, head.width
