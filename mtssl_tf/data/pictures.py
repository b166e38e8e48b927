"""A stream of decoded pictures in the order of the seed, broken ones replaced.

Every position of the order gives exactly one picture, so that a position is
all that a checkpoint needs to hold about the data.
"""

from __future__ import annotations

import numpy as np

from mtssl_tf.data import decode
from mtssl_tf.data import order
from mtssl_tf.data import picture_source
from mtssl_tf.lazy_imports import tf

# ours: after so many broken pictures in a row something else is wrong.
_MAX_ATTEMPTS = 16
# A prime, so that the substitutes of neighbours are not neighbours.
_ATTEMPT_STRIDE = 1_000_003


def stream_pictures(
    source: picture_source.PictureSource,
    positions: tf.data.Dataset,
    seed: int,
    skipped: decode.SkippedPictures,
) -> tf.data.Dataset:
    """Returns the decoded picture at each position.

    Args:
        source: the encoded pictures.
        positions: int64 [] positions in the order of `seed`.
        seed: the run's seed.
        skipped: gets the names of the pictures that could not be used.

    Returns:
        dicts of `image`, uint8 [H, W, 3] RGB, `position`, int64 [],
        `class_names`, string [K], and `class`, int32 [] in [0, K). Where
        the source has no classes, K is 0 and `class` is -1.
    """

    num_classes = len(source.class_names)

    def class_of(index: tf.Tensor) -> tf.Tensor:
        if source.read_class_in_graph is None:
            return tf.constant(-1, tf.int32)
        return source.read_class_in_graph(index)

    def index_of(position: tf.Tensor, attempt: tf.Tensor) -> tf.Tensor:
        return order.example_index(
            position + attempt * _ATTEMPT_STRIDE, len(source), seed
        )

    def decode_with_opencv(index: np.int64) -> np.ndarray:
        try:
            return decode.decode_with_opencv(source.read(int(index)))
        except (decode.UnusablePictureError, OSError) as error:
            skipped.add(source.names[index], str(error))
            raise

    def fall_back(index: tf.Tensor) -> tf.Tensor:
        image = tf.numpy_function(decode_with_opencv, [index], tf.uint8)
        return tf.ensure_shape(image, [None, None, 3])

    def candidates(position: tf.Tensor) -> tf.data.Dataset:
        """Yields the first candidate that decodes, with each decoder."""

        def load(attempt: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            index = index_of(position, attempt // 2)
            image = tf.cond(
                attempt % 2 == 0,
                lambda: decode.decode_in_graph(source.read_in_graph(index)),
                lambda: fall_back(index),
            )
            return image, class_of(index)

        def give_up(_: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            message = (
                f"{_MAX_ATTEMPTS} pictures of {source.description} in a row "
                "cannot be used; the log names each. Check the source."
            )
            never = tf.debugging.Assert(False, [message])
            with tf.control_dependencies([never]):
                return tf.zeros([1, 1, 3], tf.uint8), tf.constant(-1)

        attempts = tf.data.Dataset.range(2 * _MAX_ATTEMPTS)
        images = attempts.map(load).ignore_errors()
        last_resort = tf.data.Dataset.range(1).map(give_up)
        return (
            images.concatenate(last_resort)
            .take(1)
            .map(
                lambda image, number: {
                    "image": image,
                    "position": position,
                    "class": number,
                    "class_names": tf.constant(
                        source.class_names, tf.string, [num_classes]
                    ),
                }
            )
        )

    return positions.interleave(
        candidates,
        cycle_length=8,
        block_length=1,
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=True,
    )
