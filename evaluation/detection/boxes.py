"""Boxes in one form, and the way they take to the detector and back.

A box is [y_min, x_min, y_max, x_max] in pixels: continuous edges, 0-based, so
that the box of a whole picture is [0, 0, H, W] and an area is a product of two
differences. VOC's files hold pixel indices instead, 1-based with both ends
inclusive. Only `from_voc` and `to_voc` know that; in this form VOC's
"plus one" areas are the plain ones.
"""

from __future__ import annotations

import dataclasses

import numpy as np


def from_voc(corners: np.ndarray) -> np.ndarray:
    """Converts VOC's pixel indices to boxes.

    Args:
        corners: float [..., 4], x_min, y_min, x_max, y_max as in VOC's
            files, 1-based and inclusive.

    Returns:
        float [..., 4], boxes.
    """
    x_min, y_min, x_max, y_max = np.moveaxis(np.asarray(corners), -1, 0)
    return np.stack([y_min - 1, x_min - 1, y_max, x_max], axis=-1)


def to_voc(boxes: np.ndarray) -> np.ndarray:
    """Converts boxes to VOC's pixel indices; undoes `from_voc`."""
    y_min, x_min, y_max, x_max = np.moveaxis(np.asarray(boxes), -1, 0)
    return np.stack([x_min + 1, y_min + 1, x_max, y_max], axis=-1)


def from_xywh(boxes: np.ndarray) -> np.ndarray:
    """Converts COCO's x, y, width, height (continuous, 0-based) to boxes."""
    x, y, width, height = np.moveaxis(np.asarray(boxes), -1, 0)
    return np.stack([y, x, y + height, x + width], axis=-1)


def to_xywh(boxes: np.ndarray) -> np.ndarray:
    """Converts boxes to COCO's form; undoes `from_xywh`."""
    y_min, x_min, y_max, x_max = np.moveaxis(np.asarray(boxes), -1, 0)
    return np.stack([x_min, y_min, x_max - x_min, y_max - y_min], axis=-1)


def areas(boxes: np.ndarray) -> np.ndarray:
    """Areas in square pixels, [..., 4] -> [...]; empty boxes have 0."""
    sides = np.maximum(boxes[..., 2:] - boxes[..., :2], 0)
    return sides[..., 0] * sides[..., 1]


def overlaps(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Intersection over union, box by box.

    Args:
        first: float [..., 4].
        second: float of a shape that broadcasts with `first`.

    Returns:
        float [...] in [0, 1]; 0 where both boxes are empty.
    """
    low = np.maximum(first[..., :2], second[..., :2])
    high = np.minimum(first[..., 2:], second[..., 2:])
    shared = areas(np.concatenate([low, high], axis=-1))
    union = areas(first) + areas(second) - shared
    return shared / np.where(union > 0, union, 1)


def fitted_size(
    height: int, width: int, short_side_px: int, long_side_px: int
) -> tuple[int, int]:
    """Size of a picture scaled to a short side, its long side bounded.

    Args:
        height: of the picture.
        width: of the picture.
        short_side_px: length that the shorter side gets,
        long_side_px: unless the longer side would exceed this one.

    Returns:
        height and width, at least 1.
    """
    scale = min(
        short_side_px / min(height, width), long_side_px / max(height, width)
    )
    return max(1, round(height * scale)), max(1, round(width * scale))


@dataclasses.dataclass(frozen=True)
class Placement:
    """Where a picture lies on the padded canvas that the detector sees.

    The picture is scaled, perhaps flipped left to right, and put in the
    canvas's upper left corner. Scaled sizes are whole pixels, so the two axes
    have factors of their own and boxes come back exactly.
    """

    height: int
    width: int
    scaled_height: int
    scaled_width: int
    is_flipped: bool = False

    def to_canvas(self, boxes: np.ndarray) -> np.ndarray:
        """Moves boxes [N, 4] from the picture to the canvas."""
        scaled = np.asarray(boxes) * self._factors()
        return self._flip(scaled) if self.is_flipped else scaled

    def to_picture(self, boxes: np.ndarray) -> np.ndarray:
        """Moves boxes [N, 4] from the canvas back to the picture."""
        boxes = np.asarray(boxes)
        unflipped = self._flip(boxes) if self.is_flipped else boxes
        return unflipped / self._factors()

    def _factors(self) -> np.ndarray:
        rows = self.scaled_height / self.height
        columns = self.scaled_width / self.width
        return np.array([rows, columns, rows, columns])

    def _flip(self, boxes: np.ndarray) -> np.ndarray:
        y_min, x_min, y_max, x_max = np.moveaxis(boxes, -1, 0)
        width = self.scaled_width
        return np.stack([y_min, width - x_max, y_max, width - x_min], axis=-1)
