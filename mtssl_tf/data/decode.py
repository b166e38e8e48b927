"""Bytes of a picture to pixels in the graph.

Ordinary pictures are decoded here. TIFF, AVIF, Netpbm and what has more than 8
bits a value go to `files/picture.py`; so does, at a second attempt, what
TensorFlow's decoders refuse (palette BMP, JPEGs that are too large at a
fraction of their size), and a JPEG that is cut off.
What neither can read is named in the log once, counted, and replaced by
another picture of the same source.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mtssl_tf.files import picture
from mtssl_tf.files import value_range as value_range_lib
from mtssl_tf.lazy_imports import tf

JPEG_RATIOS = (8, 4, 2)  # that libjpeg decodes at less cost than whole


def read_in_graph(
    read: Callable[[int], bytes],
    number: tf.Tensor,
    smallest_side_px: int | None = None,
    value_range: value_range_lib.Choice | None = None,
) -> tf.Tensor:
    """Reads and decodes a picture; of an animation or several pages the first.

    Args:
        read: number of a picture -> its file's bytes; no name's suffix is
            looked at.
        number: int64 [].
        smallest_side_px: a JPEG comes at the smallest of its size, a half, a
            quarter or an eighth of it whose short side is not under this.
            None takes its size.
        value_range: as `picture.decode_rgb` takes it.

    Returns:
        uint8 [H, W, 3] RGB. Reading it raises `InvalidArgumentError` where
        the bytes are broken or the picture is outside of the bounds of
        `files/picture.py`, in which case it is not decoded; and what `read`
        raises, as an error of TensorFlow's.
    """

    def read_and_look(
        each: np.int64,
    ) -> tuple[np.ndarray, np.int32, np.bool_]:
        contents = read(int(each))
        return np.array(contents, object), *_look(contents)

    # At one go: each call of Python's takes a while.
    contents, short_side, is_tensorflows = tf.numpy_function(
        read_and_look, [number], [tf.string, tf.int32, tf.bool], stateful=False
    )
    return _decode(
        contents, short_side, is_tensorflows, smallest_side_px, value_range
    )


def _decode(
    contents: tf.Tensor,
    short_side: tf.Tensor,
    is_tensorflows: tf.Tensor,
    smallest_side_px: int | None,
    value_range: value_range_lib.Choice | None,
) -> tf.Tensor:
    """Decodes what was looked at, as `_look` found it."""
    contents = tf.ensure_shape(contents, [])
    short_side = tf.ensure_shape(short_side, [])
    is_tensorflows = tf.ensure_shape(is_tensorflows, [])
    with tf.control_dependencies(
        [tf.debugging.Assert(short_side > 0, ["The picture is out of bounds."])]
    ):
        contents = tf.identity(contents)

    def decode_elsewhere() -> tf.Tensor:
        return tf.numpy_function(
            lambda raw: picture.decode_rgb(_bytes(raw), value_range),
            [contents],
            tf.uint8,
            stateful=False,
        )

    image = tf.case(
        [
            (~is_tensorflows, decode_elsewhere),
            (
                _holds(contents, 0, b"\xff\xd8"),
                lambda: _jpeg(contents, short_side, smallest_side_px),
            ),
            (_holds(contents, 8, b"WEBP"), lambda: _webp(contents)),
        ],
        default=lambda: tf.io.decode_image(
            contents, channels=3, expand_animations=False
        ),
    )
    return tf.ensure_shape(image, [None, None, 3])


def _look(contents: bytes | np.ndarray) -> tuple[np.int32, np.bool_]:
    """Returns a picture's short side, and whether TensorFlow decodes it.

    The side is 0 where the picture is outside of the bounds.
    """
    try:
        head = picture.check(_bytes(contents))
    except picture.UnusablePictureError:
        return np.int32(0), np.bool_(True)
    side = np.int32(min(head.width, head.height))
    # It would fill up a JPEG with grey, however little of it is there.
    return side, np.bool_(head.is_tensorflows and not head.is_cut_off)


def _bytes(contents: bytes | np.ndarray) -> bytes:
    # Outside of a graph TensorFlow gives the bytes in an array.
    return contents.item() if isinstance(contents, np.ndarray) else contents


def _holds(contents: tf.Tensor, position: int, mark: bytes) -> tf.Tensor:
    return tf.strings.substr(contents, position, len(mark)) == mark


def _jpeg(
    contents: tf.Tensor, short_side: tf.Tensor, smallest_side_px: int | None
) -> tf.Tensor:
    def decode(ratio: int) -> tf.Tensor:
        return tf.io.decode_jpeg(
            contents,
            channels=3,
            ratio=ratio,
        )

    if smallest_side_px is None:
        return decode(1)
    needed = smallest_side_px
    return tf.case(
        [
            (short_side >= ratio * needed, lambda ratio=ratio: decode(ratio))
            for ratio in JPEG_RATIOS
        ],
        default=lambda: decode(1),
    )


def _webp(contents: tf.Tensor) -> tf.Tensor:
    return tf.io.decode_webp(contents, channels=3)[0]  # [frames, H, W, 3]
