"""Bytes of a picture to pixels, with a way around pictures that are broken.

Ordinary pictures are decoded in the graph. What TensorFlow's decoders refuse
is given to OpenCV, which reads more (palette BMP, JPEG 2000, TIFF, truncated
files with a usable part). What neither can read is named in the log once,
counted, and replaced by another picture of the same source.
"""

from __future__ import annotations

import cv2
import numpy as np

from mtssl_tf.lazy_imports import tf

# ours: a smaller picture has nothing to learn from once it is scaled up.
MIN_SIDE_PX = 8
# ours: of a JPEG that is cut off, so many of its lines must be there.
MIN_LINES_SHARE = 0.5


class UnusablePictureError(ValueError):
    """No decoder here gets a picture worth training on out of the bytes."""


def decode_in_graph(contents: tf.Tensor) -> tf.Tensor:
    """Decodes a JPEG, PNG, GIF, BMP or WebP; of an animation its first frame.

    Args:
        contents: string [], the file's bytes; the name's suffix is not used.

    Returns:
        uint8 [H, W, 3] RGB. Reading it raises `InvalidArgumentError` where
        the bytes are broken or the picture is too small.
    """
    image = tf.case(
        [
            (_holds(contents, 0, b"\xff\xd8"), lambda: _jpeg(contents)),
            (_holds(contents, 8, b"WEBP"), lambda: _webp(contents)),
        ],
        default=lambda: tf.io.decode_image(
            contents, channels=3, expand_animations=False
        ),
    )
    image = tf.ensure_shape(image, [None, None, 3])
    is_large_enough = tf.reduce_min(tf.shape(image)[:2]) >= MIN_SIDE_PX
    with tf.control_dependencies(
        [tf.debugging.Assert(is_large_enough, [tf.shape(image)])]
    ):
        return tf.identity(image)


def _holds(contents: tf.Tensor, position: int, mark: bytes) -> tf.Tensor:
    return tf.strings.substr(contents, position, len(mark)) == mark


def _jpeg(contents: tf.Tensor) -> tf.Tensor:
    return tf.io.decode_jpeg(
        contents,
        channels=3,
        try_recover_truncated=True,
        acceptable_fraction=MIN_LINES_SHARE,
    )


def _webp(contents: tf.Tensor) -> tf.Tensor:
    return tf.io.decode_webp(contents, channels=3)[0]  # [frames, H, W, 3]


def decode_with_opencv(contents: bytes) -> np.ndarray:
    """Decodes whatever OpenCV can read, any depth and channel count.

    Returns:
        uint8 [H, W, 3] RGB.

    Raises:
        UnusablePictureError: not a picture, or one of a few pixels.
    """
    if not contents:
        raise UnusablePictureError("the file is empty")
    buffer = np.frombuffer(contents, np.uint8)
    try:
        # The orientation tag is ignored, as TensorFlow's decoders do.
        image = cv2.imdecode(
            buffer, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
        )
    except cv2.error as error:
        raise UnusablePictureError(f"OpenCV says {error.err}") from error
    if image is None:
        raise UnusablePictureError("its bytes are no picture that can be read")
    height, width = image.shape[:2]
    if min(height, width) < MIN_SIDE_PX:
        raise UnusablePictureError(
            f"it is {width}x{height} pixels, under {MIN_SIDE_PX} a side"
        )
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
