"""Sizes and crops of pictures, as graph code."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from mtssl_tf.lazy_imports import tf


def scaled_size(image: tf.Tensor, short_side_px: int | tf.Tensor) -> tf.Tensor:
    """Returns the size that `to_short_side` gives, int32 [2]."""
    size = tf.shape(image)[:2]
    short_side_px = tf.cast(short_side_px, tf.int32)
    scaled = tf.cast(size, tf.float32) / _scale_of(image, short_side_px)
    return tf.maximum(tf.cast(tf.math.round(scaled), tf.int32), short_side_px)


def _scale_of(image: tf.Tensor, short_side_px: int | tf.Tensor) -> tf.Tensor:
    """Returns how many pixels of a picture one of the resized makes.

    Args:
        image: [H, W, C].
        short_side_px: the new length of the shorter side.

    Returns:
        float32 [].
    """
    short = tf.reduce_min(tf.shape(image)[:2])
    return tf.cast(short, tf.float32) / tf.cast(short_side_px, tf.float32)


def cut_patches(
    image: tf.Tensor,
    short_side_px: int | tf.Tensor,
    corners: tf.Tensor,
    side_px: int,
    coarse_px: tf.Tensor | None = None,
) -> tf.Tensor:
    """Cuts squares out of a picture at a size, and resizes nothing but them.

    They begin and end at whole pixels of the picture as it comes, within half
    of one of what is asked for.

    Args:
        image: uint8 [H, W, C].
        short_side_px: length of the picture's short side before the cut.
        corners: int32 or float32 [V, 2], (y, x) of each at that size.
        side_px: their side.
        coarse_px: int32 [V], the side to which each is shrunk before it is
            enlarged to `side_px`, which leaves it sharp; None leaves all so.

    Returns:
        uint8 [V, side_px, side_px, C].
    """

    def cut_with_opencv(
        picture: np.ndarray, windows: np.ndarray, sides: np.ndarray
    ) -> np.ndarray:
        coarse = [
            _cut_with_opencv(picture, window, side)
            for window, side in zip(windows.tolist(), sides.tolist())
        ]
        size = (side_px, side_px)
        return np.stack([_resize_with_opencv(each, size) for each in coarse])

    windows = _windows(image, short_side_px, corners, side_px)
    if coarse_px is None:
        coarse_px = tf.fill([corners.shape[0]], side_px)
    patches = tf.numpy_function(
        cut_with_opencv,
        [image, windows, coarse_px],
        tf.uint8,
        stateful=False,
    )
    return tf.ensure_shape(
        patches, [corners.shape[0], side_px, side_px, image.shape[-1]]
    )


def to_short_side(image: tf.Tensor, short_side_px: int) -> tf.Tensor:
    """Resizes a picture so that its shorter side has the given length.

    Shrinking averages over the pixels it drops: aliasing is a trace by which
    a task could tell how a picture was made.

    Args:
        image: uint8 [H, W, C].
        short_side_px: the new length; the other side keeps the aspect.

    Returns:
        uint8 [H', W', C].
    """
    resized = tf.numpy_function(
        _resize_with_opencv,
        [image, scaled_size(image, short_side_px)],
        tf.uint8,
        stateful=False,
    )
    return tf.ensure_shape(resized, [None, None, image.shape[-1]])


def random_cut(
    image: tf.Tensor,
    short_side_px: int | tf.Tensor,
    side_px: int,
    share: tf.Tensor,
    is_mirrored: bool | tf.Tensor = False,
) -> tf.Tensor:
    """Cuts a square anywhere out of a picture at a size.

    Args:
        image: uint8 [H, W, C].
        short_side_px: length of the picture's short side before the cut, at
            least `side_px`.
        side_px: side of the square.
        share: float32 [2] in [0, 1): where the square lies in the room that
            the picture has in y and x.
        is_mirrored: bool [], whether left and right of it are swapped.

    Returns:
        uint8 [side_px, side_px, C].
    """
    (cut,) = random_cuts([image], short_side_px, side_px, share, is_mirrored)
    return cut


def random_cuts(
    images: Sequence[tf.Tensor],
    short_side_px: int | tf.Tensor,
    side_px: int,
    share: tf.Tensor,
    is_mirrored: bool | tf.Tensor = False,
) -> list[tf.Tensor]:
    """Cuts the same square out of several pictures of one size.

    Joining them first and parting them afterwards would cost more than the
    cut itself.

    Args:
        images: uint8 [H, W, C] each; C may differ.
        short_side_px: as `random_cut` takes it, and all others.
        side_px: side of the square.
        share: float32 [2] in [0, 1).
        is_mirrored: bool [].

    Returns:
        uint8 [side_px, side_px, C] each.
    """
    first = images[0]
    corner = corner_in_room(scaled_size(first, short_side_px) - side_px, share)
    window = _windows(first, short_side_px, corner, side_px)

    def cut_with_opencv(
        place: np.ndarray, mirrors: np.bool, *pictures: np.ndarray
    ) -> list[np.ndarray]:
        edges = place.tolist()
        cuts = [_cut_with_opencv(each, edges, side_px) for each in pictures]
        if not mirrors:
            return cuts
        return [cv2.flip(cut, 1).reshape(cut.shape) for cut in cuts]

    cuts = tf.numpy_function(
        cut_with_opencv,
        [window, is_mirrored, *images],
        [tf.uint8] * len(images),
        stateful=False,
    )
    return [
        tf.ensure_shape(cut, [side_px, side_px, image.shape[-1]])
        for cut, image in zip(tf.nest.flatten(cuts), images, strict=True)
    ]


def corner_in_room(room: tf.Tensor, share: tf.Tensor) -> tf.Tensor:
    """Returns whole numbers from 0 to `room`, each as likely as the others.

    Args:
        room: int32 [n], at least 0.
        share: float32 [n], uniform in [0, 1).

    Returns:
        int32 [n].
    """
    return tf.cast(share * tf.cast(room + 1, tf.float32), tf.int32)


def between(minimum: int, maximum: int, share: tf.Tensor) -> tf.Tensor:
    """Returns whole numbers between two, both included.

    Args:
        minimum: the smallest.
        maximum: the largest.
        share: float32 [] or [n], uniform in [0, 1).

    Returns:
        int32, as many.
    """
    return minimum + corner_in_room(tf.constant(maximum - minimum), share)


def _windows(
    image: tf.Tensor,
    short_side_px: int | tf.Tensor,
    corners: tf.Tensor,
    side_px: int,
) -> tf.Tensor:
    """Returns where squares begin and end, int32 [..., 4]: y, x, y, x.

    In the graph: while Python works such things out, no other thread of
    Python runs.

    Args:
        image: [H, W, C].
        short_side_px: length of its short side where the corners count.
        corners: int32 or float32 [..., 2], (y, x) there.
        side_px: side of the squares there.
    """
    scale = _scale_of(image, short_side_px)
    corners = tf.cast(corners, tf.float32) * scale
    limits = tf.shape(image)[:2]
    first = tf.minimum(tf.cast(tf.round(corners), tf.int32), limits - 1)
    last = tf.cast(tf.round(corners + side_px * scale), tf.int32)
    last = tf.clip_by_value(last, first + 1, limits)
    return tf.concat([first, last], -1)


def _cut_with_opencv(
    picture: np.ndarray, window: list[int], side_px: int
) -> np.ndarray:
    top, left, bottom, right = window
    part = picture[top:bottom, left:right]
    return _resize_with_opencv(part, (side_px, side_px))


def _resize_with_opencv(
    image: np.ndarray, size: tuple[int, int] | np.ndarray
) -> np.ndarray:
    """Resizes uint8 [H, W, C]: averages, or interpolates where it grows.

    TensorFlow's own averages take five times as long.
    """
    height, width = (int(length) for length in size)
    if image.shape[:2] == (height, width):
        return np.ascontiguousarray(image)
    does_shrink = image.shape[0] >= height and image.shape[1] >= width
    method = cv2.INTER_AREA if does_shrink else cv2.INTER_LINEAR
    resized = cv2.resize(image, (width, height), interpolation=method)
    return resized.reshape(height, width, -1)
