"""Looks at pictures through the reader that training uses."""

from __future__ import annotations

import dataclasses

import numpy as np

from mtssl_tf.checkup import difference_hash
from mtssl_tf.checkup import sample
from mtssl_tf.data import pictures
from mtssl_tf.data import skipped as skipped_lib
from mtssl_tf.reports import progress as progress_lib

# ours: JPEG turns a grey picture's channels apart by a few levels at most.
_GREY_LEVELS = 4
QUANTILES = (0, 25, 50, 75, 100)  # per cent


@dataclasses.dataclass(frozen=True)
class PictureCheck:
    """What pictures are like.

    Attributes:
        total: pictures found.
        looked_at: how many of them were read.
        unusable: (name, reason) of those that training skips.
        short_sides: name -> short side, in px, of those it can use.
        grey: names of those without colour.
        duplicates: groups of names that are nearly the same picture.
    """

    total: int
    looked_at: int
    unusable: list[tuple[str, str]]
    short_sides: dict[str, int]
    grey: list[str]
    duplicates: list[list[str]]

    def quantiles(self) -> dict[int, int]:
        """Returns per cent -> short side in px; {} without any picture."""
        sides = list(self.short_sides.values())
        if not sides:
            return {}
        values = np.percentile(sides, QUANTILES)
        return {share: round(value) for share, value in zip(QUANTILES, values)}

    def num_smaller(self, side_px: int) -> int:
        """Returns how many pictures have a short side under this."""
        return sum(side < side_px for side in self.short_sides.values())


def check_pictures(
    source: pictures.PictureSource, share: float = 1.0
) -> PictureCheck:
    """Reads each picture once, in the graph that training reads it with.

    Args:
        source: of them.
        share: of them that is looked at, in (0, 1].
    """
    total = len(source)
    source = source.subset(sample.numbers(total, share)).numbered()
    skipped = skipped_lib.SkippedExamples()
    sides: dict[str, int] = {}
    hashes: dict[str, int] = {}
    grey = []
    progress = progress_lib.ProgressLine(len(source), "pictures")
    images = source.stream_once(None, skipped).as_numpy_iterator()
    for count, (image, number) in enumerate(images, start=1):
        name = source.names[number]
        sides[name] = min(image.shape[:2])
        hashes[name] = difference_hash.difference_hash(image)
        if is_grey(image):
            grey.append(name)
        progress.update(count)
    progress.finish(f"{len(source)} pictures")
    return PictureCheck(
        total,
        len(source),
        skipped.items(),
        sides,
        grey,
        difference_hash.groups(hashes),
    )


def is_grey(image: np.ndarray) -> bool:
    """Says whether a picture, uint8 [H, W, 3] RGB, has no colour anywhere."""
    red, green, blue = (image[..., i].astype(np.int16) for i in range(3))
    apart = max(np.abs(red - green).max(), np.abs(green - blue).max())
    return bool(apart <= _GREY_LEVELS)
