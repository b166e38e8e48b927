"""Pictures and boxes as the detector takes them: scaled, padded, batched.

Which pictures make up step n, their scale and their flips follow from the
seed and n alone. A resumed run therefore sees what the first would have seen,
and no iterator has to be saved.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
import dataclasses

import cv2
import numpy as np

from evaluation import made_ahead
from evaluation.detection import boxes as box_form
from evaluation.detection import protocol as protocol_lib
from evaluation.detection import voc_picture

# official.vision leaves out boxes below 0 and numbers classes from 1, as 0 is
# the background.
PADDING = -1
FIRST_CLASS = 1


@dataclasses.dataclass(frozen=True)
class DetectionBatch:
    """Pictures on one canvas size, with the objects to learn from.

    Attributes:
        images: float32 [B, H, W, 3], RGB in 0..255; padding has the colour
            that the trunk's contract maps to 0.
        sizes: float32 [B, 2], height and width that the picture fills.
        boxes: float32 [B, M, 4] on the canvas, rows beyond the objects
            `PADDING`.
        classes: int32 [B, M], 1 to 20, then `PADDING`.
        placements: where each picture lies.
    """

    images: np.ndarray
    sizes: np.ndarray
    boxes: np.ndarray
    classes: np.ndarray
    placements: tuple[box_form.Placement, ...]


def place_picture(rgb: np.ndarray, placement: box_form.Placement) -> np.ndarray:
    """Scales and flips: uint8 [H, W, 3] to float32 [h, w, 3] in 0..255."""
    # In float32, so that an exported detector can do the same to the bit's
    # neighbourhood; cv2's and TensorFlow's bilinear agree there.
    scaled = cv2.resize(
        rgb.astype(np.float32),
        (placement.scaled_width, placement.scaled_height),
        interpolation=cv2.INTER_LINEAR,
    )
    return scaled[:, ::-1] if placement.is_flipped else scaled


def fit_on_canvas(
    images: Sequence[np.ndarray],
    multiple_px: int,
    padding_rgb: Sequence[float],
) -> np.ndarray:
    """Stacks pictures of several sizes in upper left corners.

    Args:
        images: float32 [h, w, 3] each.
        multiple_px: the canvas's sides are the smallest multiples of it that
            hold every picture.
        padding_rgb: colour of the rest.

    Returns:
        float32 [B, H, W, 3].
    """
    height, width = (
        -(-max(image.shape[axis] for image in images) // multiple_px)
        * multiple_px
        for axis in (0, 1)
    )
    canvas = np.empty((len(images), height, width, 3), np.float32)
    canvas[:] = padding_rgb
    for row, image in zip(canvas, images):
        row[: image.shape[0], : image.shape[1]] = image
    return canvas


class TrainingBatches:
    """The batches of a training run, by step.

    Difficult objects are left out, and then pictures without any object.

    Args:
        pictures: of the training split.
        protocol: scales, flips and batch size.
        padding_rgb: the contract's means.
        seed: of order, scales and flips.

    Raises:
        ValueError: no picture has an object to learn from.
    """

    def __init__(
        self,
        pictures: Sequence[voc_picture.Picture],
        protocol: protocol_lib.VocDetectionProtocol,
        padding_rgb: Sequence[float],
        seed: int,
    ):
        self._pictures = [
            picture for picture in pictures if not picture.is_difficult.all()
        ]
        if not self._pictures:
            raise ValueError(
                f"None of {len(pictures)} pictures has an object that is not "
                "difficult, so there is nothing to learn. Choose another "
                "--train split."
            )
        self._protocol = protocol
        self._padding_rgb = padding_rgb
        self._seed = seed
        self._max_objects = max(
            int(np.sum(~picture.is_difficult)) for picture in self._pictures
        )

    def __len__(self) -> int:
        """Pictures that batches are made of."""
        return len(self._pictures)

    def at(self, step: int) -> DetectionBatch:
        """The batch of one step, counted from 0."""
        protocol = self._protocol
        rng = np.random.default_rng((self._seed, 1, step))
        short_side = int(rng.choice(protocol.train_short_sides_px))
        first = step * protocol.batch_size
        chosen = [
            self._in_order(first + place)
            for place in range(protocol.batch_size)
        ]
        flips = rng.random(protocol.batch_size) < 0.5 * protocol.use_flips
        return self._assemble(chosen, short_side, flips)

    def from_step(self, step: int, end: int) -> Iterator[DetectionBatch]:
        """Batches of steps `step` to `end` - 1, the next one made ahead."""
        return made_ahead.made_ahead(self.at, range(step, end))

    def _in_order(self, number: int) -> voc_picture.Picture:
        """The picture at a place in the endless, shuffled sequence."""
        epoch, place = divmod(number, len(self._pictures))
        rng = np.random.default_rng((self._seed, 0, epoch))
        return self._pictures[rng.permutation(len(self._pictures))[place]]

    def _assemble(
        self,
        pictures: Sequence[voc_picture.Picture],
        short_side: int,
        flips: np.ndarray,
    ) -> DetectionBatch:
        protocol = self._protocol
        placements = tuple(
            box_form.Placement(
                picture.height,
                picture.width,
                *box_form.fitted_size(
                    picture.height,
                    picture.width,
                    short_side,
                    protocol.train_long_side_px,
                ),
                is_flipped=bool(is_flipped),
            )
            for picture, is_flipped in zip(pictures, flips)
        )
        images = [
            place_picture(picture.load_rgb(), placement)
            for picture, placement in zip(pictures, placements)
        ]
        shape = (len(pictures), self._max_objects)
        boxes = np.full((*shape, 4), PADDING, np.float32)
        classes = np.full(shape, PADDING, np.int32)
        for row, (picture, placement) in enumerate(zip(pictures, placements)):
            keep = ~picture.is_difficult
            count = int(keep.sum())
            boxes[row, :count] = placement.to_canvas(picture.boxes[keep])
            classes[row, :count] = picture.classes[keep] + FIRST_CLASS
        return DetectionBatch(
            images=fit_on_canvas(
                images, protocol.canvas_multiple_px, self._padding_rgb
            ),
            sizes=np.array([image.shape[:2] for image in images], np.float32),
            boxes=boxes,
            classes=classes,
            placements=placements,
        )


def picture_batch(
    rgb: np.ndarray,
    protocol: protocol_lib.VocDetectionProtocol,
    padding_rgb: Sequence[float],
) -> DetectionBatch:
    """One picture, uint8 [H, W, 3], at the scale tested at."""
    height, width = rgb.shape[:2]
    placement = box_form.Placement(
        height,
        width,
        *box_form.fitted_size(
            height,
            width,
            protocol.test_short_side_px,
            protocol.test_long_side_px,
        ),
    )
    image = place_picture(rgb, placement)
    return DetectionBatch(
        images=fit_on_canvas([image], protocol.canvas_multiple_px, padding_rgb),
        sizes=np.array([image.shape[:2]], np.float32),
        boxes=np.zeros((1, 0, 4), np.float32),
        classes=np.zeros((1, 0), np.int32),
        placements=(placement,),
    )
