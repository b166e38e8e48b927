"""Sizes and crops of pictures, as graph code with explicit seeds."""

from __future__ import annotations

from mtssl_tf.lazy_imports import tf


def resize_short_side(image: tf.Tensor, short_side_px: int) -> tf.Tensor:
    """Resizes a picture so that its shorter side has the given length.

    Shrinking averages over the pixels it drops: aliasing is a trace by which
    a task could tell how a picture was made. (Averaging over areas costs a
    third of what `antialias=True` does, which was most of the pipeline.)

    Args:
        image: uint8 or float [H, W, C] in 0..255.
        short_side_px: the new length; the other side keeps the aspect.

    Returns:
        float32 [H', W', C] in [0, 255].
    """
    size = tf.shape(image)[:2]
    short = tf.reduce_min(size)
    new_size = tf.maximum(
        tf.cast(
            tf.math.round(
                tf.cast(size, tf.float32)
                * tf.cast(short_side_px, tf.float32)
                / tf.cast(short, tf.float32)
            ),
            tf.int32,
        ),
        short_side_px,
    )
    resized = tf.case(
        [
            (short == short_side_px, lambda: tf.cast(image, tf.float32)),
            (short > short_side_px, lambda: _average(image, new_size)),
        ],
        default=lambda: tf.image.resize(image, new_size),
    )
    return resized


def resize_to_random_side(
    image: tf.Tensor, minimum_px: int, maximum_px: int, seed: tf.Tensor
) -> tf.Tensor:
    """Resizes as `resize_short_side` does, to a random length.

    Args:
        image: uint8 or float [H, W, C] in 0..255.
        minimum_px: the smallest length,
        maximum_px: the largest; all between are equally likely.
        seed: int32 [2].

    Returns:
        float32 [H', W', C] in [0, 255].
    """
    short_side_px = tf.random.stateless_uniform(
        [], seed, minimum_px, maximum_px + 1, tf.int32
    )
    return resize_short_side(image, short_side_px)


def _average(image: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    return tf.image.resize(image, size, tf.image.ResizeMethod.AREA)


def random_crop(image: tf.Tensor, crop_px: int, seed: tf.Tensor) -> tf.Tensor:
    """Cuts a random square out of a picture.

    Args:
        image: [H, W, C], no side under `crop_px`.
        crop_px: side of the square.
        seed: int32 [2].

    Returns:
        [crop_px, crop_px, C].
    """
    size = tf.shape(image)[:2]
    share = tf.random.stateless_uniform([2], seed)
    room = tf.cast(size - crop_px + 1, tf.float32)
    corner = tf.cast(share * room, tf.int32)
    crop = tf.slice(image, [corner[0], corner[1], 0], [crop_px, crop_px, -1])
    return tf.ensure_shape(crop, [crop_px, crop_px, image.shape[-1]])


def random_flip(image: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Mirrors left and right with probability 1/2; [H, W, C] to the same."""
    return tf.image.stateless_random_flip_left_right(image, seed)
