"""One view of each picture, from its centre, in batches."""

from __future__ import annotations

from mtssl_tf.data import pictures as pictures_lib
from mtssl_tf.data import resize
from mtssl_tf.data import skipped as skipped_lib
from mtssl_tf.lazy_imports import tf
from mtssl_tf.process import plain_graphs


def centre_view(image: tf.Tensor, resize_px: int, image_px: int) -> tf.Tensor:
    """Cuts the central square (paper, sec. 5: one view, not mirrored).

    Args:
        image: uint8 [H, W, 3].
        resize_px: length of the short side before the cut.
        image_px: side of the square, at most `resize_px`.

    Returns:
        uint8 [image_px, image_px, 3].
    """
    image = resize.to_short_side(image, resize_px)
    corner = (tf.shape(image)[:2] - image_px) // 2
    return tf.slice(image, [corner[0], corner[1], 0], [image_px, image_px, 3])


@plain_graphs.traces_as_written
def centre_view_batches(
    pictures: pictures_lib.PictureSource,
    resize_px: int,
    image_px: int,
    batch_size: int,
    skipped: skipped_lib.SkippedExamples,
    shuffle_seed: int | None = None,
) -> tf.data.Dataset:
    """Streams all usable pictures once.

    Args:
        pictures: where they come from.
        resize_px: as `centre_view` takes it.
        image_px: the same.
        batch_size: B.
        skipped: gets the names of the pictures that could not be used.
        shuffle_seed: of the order; None keeps the source's.

    Returns:
        Batches of (uint8 [B, image_px, image_px, 3], int32 [B]); the last
        one may be smaller.
    """

    def view(image: tf.Tensor, number: tf.Tensor):
        return centre_view(image, resize_px, image_px), number

    return (
        pictures.stream_once(shuffle_seed, skipped)
        .map(view, tf.data.AUTOTUNE, deterministic=True)
        .batch(batch_size)
        .prefetch(tf.data.AUTOTUNE)
    )
