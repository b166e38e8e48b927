"""Random crops of a picture, each resized to one size and mirrored or not.

Szegedy et al. 2015, sec. 6, as SimCLR (Chen et al. 2020, appendix A) takes
them: an area, uniform in a range of shares of the picture, and a ratio of width
to height, uniform in its logarithm. One affine map of the picture a crop, so
that it is resampled once; a crop larger than the picture is made smaller in
place of showing what is beyond the border.
"""

from __future__ import annotations

import math

from mtssl_tf.data import distort
from mtssl_tf.lazy_imports import tf

MIN_RATIO, MAX_RATIO = 3 / 4, 4 / 3  # release: SimCLR, appendix A


def random_crops(
    image: tf.Tensor, min_area: float, side_px: int, shares: tf.Tensor
) -> tf.Tensor:
    """Cuts crops out of a picture.

    Args:
        image: uint8 [H, W, 3].
        min_area: the smallest crop, as a share of the picture.
        side_px: side of the results.
        shares: float32 [V, 5], uniform in [0, 1): of the ranges of area,
            ratio, place in y and x; the last one's half is mirrored.

    Returns:
        uint8 [V, side_px, side_px, 3].
    """
    size = tf.cast(tf.shape(image)[:2], tf.float32)
    transforms = [
        _transform(size, min_area, side_px, share)
        for share in tf.unstack(shares)
    ]
    return distort.warp(image, tf.stack(transforms), side_px, side_px)


def _transform(
    size: tf.Tensor, min_area: float, side_px: int, share: tf.Tensor
) -> tf.Tensor:
    """Returns the map from a crop's pixels to those of its picture.

    Args:
        size: float32 [2], of the picture.
        min_area: as `random_crops` takes it.
        side_px: side of the crop once it is resized.
        share: float32 [5].

    Returns:
        float32 [6], as `distort.warp` takes it.
    """
    area = size[0] * size[1] * (min_area + (1.0 - min_area) * share[0])
    low, high = math.log(MIN_RATIO), math.log(MAX_RATIO)
    ratio = tf.exp(low + share[1] * (high - low))
    crop = tf.minimum(tf.sqrt(tf.stack([area / ratio, area * ratio])), size)
    corner = share[2:4] * (size - crop)
    scale = crop / side_px
    # A pixel's centre lies half a pixel from its edge, in both.
    first = corner + scale / 2.0 - 0.5
    is_mirrored = share[4] < 0.5
    last_x = first[1] + scale[1] * (side_px - 1)
    return tf.stack(
        [
            tf.where(is_mirrored, -scale[1], scale[1]),
            0.0,
            tf.where(is_mirrored, last_x, first[1]),
            0.0,
            scale[0],
            first[0],
        ]
    )
