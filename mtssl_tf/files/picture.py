"""The one guarded way from a picture's bytes to its pixels.

Every reader goes through here, so that all have the same bounds and the same
pixels, and none turns a picture: it is taken as it is stored, whatever the EXIF
tag says is up, and so agrees with depth, boxes and masks, which know of no such
tag.
"""

from __future__ import annotations

from collections.abc import Sequence
import os
import stat

import cv2
import numpy as np

from mtssl_tf.files import names
from mtssl_tf.files import picture_head
from mtssl_tf.files import tiff
from mtssl_tf.files import value_range as value_range_lib

# ours: a smaller picture has nothing to learn from once it is scaled up.
MIN_SIDE_PX = 8
# ours: 8192 x 8192, 0.2 GB of uint8. Several are decoded at a time.
MAX_PIXELS = 2**26
# ours: of what more than 8 bits a value take: 64 million pixels of 16-bit RGB
# with some room.
MAX_DEEP_BYTES = 2**29
MAX_CHANNELS = 4
# ours: a strip's long side grows with the short one as that is scaled up.
MAX_ASPECT = 32
# ours: a file's, which is read whole; of what is decoded nothing has more.
MAX_FILE_BYTES = 2**30
# ours: of a JPEG that is cut off, so many of its lines must be there.
MIN_LINES_SHARE = 0.5
_MISSING = 128  # what libjpeg makes of lines that are not there
# What libjpeg decodes a JPEG at, a half and so on, at less cost than whole.
_READ = {
    1: cv2.IMREAD_COLOR,
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}


class UnusablePictureError(ValueError):
    """No decoder here gets a picture worth training on out of the bytes."""


class UnusableDeepError(UnusablePictureError):
    """A picture of more than 8 bits, or of too many channels, is of no use."""


def read(path: str | os.PathLike) -> bytes:
    """Returns a picture file's bytes.

    Raises:
        UnusablePictureError: it is no file, or larger than any picture that
            is decoded.
        OSError: it cannot be read.
    """
    facts = os.stat(path)
    if not stat.S_ISREG(facts.st_mode):
        raise UnusablePictureError("it is no regular file")
    check_num_bytes(facts.st_size)
    with open(path, "rb") as file:
        return file.read()


def check_num_bytes(num_bytes: int) -> None:
    """Raises UnusablePictureError for more than is read of any picture."""
    if num_bytes > MAX_FILE_BYTES:
        raise UnusablePictureError(
            f"it has {num_bytes} bytes, above the {MAX_FILE_BYTES} that are "
            "read; make it smaller"
        )


def check(contents: bytes) -> picture_head.PictureHead:
    """Returns the head of a picture that can be decoded as it is.

    Raises:
        UnusablePictureError: the bytes are no picture, or one outside of the
            bounds above; says which.
    """
    head = _readable_head(contents)
    _check_size(head, 1)
    return head


def decode(contents: bytes, flags: int = cv2.IMREAD_COLOR) -> np.ndarray:
    """Decodes whatever OpenCV can read, as it is stored.

    In colour, values of more than 8 bits become 8 by all that their type can
    be (`files/value_range.py`).

    Args:
        contents: the file's bytes.
        flags: OpenCV's, such as IMREAD_UNCHANGED.

    Returns:
        What OpenCV makes of it: uint8 [H, W, 3] BGR with the usual flags.

    Raises:
        UnusablePictureError: not a picture, or outside of the bounds.
    """
    head = check(contents)
    if head.is_deep and flags == cv2.IMREAD_COLOR:
        return _deep_rgb(contents, head, None)[..., ::-1]
    return _decode(contents, head, flags)


def decode_rgb(
    contents: bytes,
    value_range: value_range_lib.Choice | None = None,
    smallest_side_px: int | None = None,
) -> np.ndarray:
    """Decodes a picture to learn from; a JPEG too large for it, reduced.

    Args:
        contents: the file's bytes.
        value_range: what becomes 0 and 255 where values have more than 8
            bits; None takes all that their type can be.
        smallest_side_px: a JPEG comes at the smallest of its size, a half, a
            quarter or an eighth of it whose short side is not under this.
            None takes its size.

    Returns:
        uint8 [H, W, 3] RGB.

    Raises:
        UnusablePictureError: not a picture, or outside of the bounds.
    """
    head = _readable_head(contents)
    factor = 1
    if contents.startswith(picture_head.JPEG_START):
        factor = _reduction(head, smallest_side_px)
    _check_size(head, factor)
    if head.is_deep:
        return _deep_rgb(contents, head, value_range)
    image = _decode(contents, head, _READ[factor])
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def decode_values(contents: bytes) -> np.ndarray | None:
    """Decodes a picture of more than 8 bits a value.

    Returns:
        The values as they are stored, [H, W, 3] or [H, W, 1]; None of a
        picture of 8 bits.

    Raises:
        UnusablePictureError: not a picture, outside of the bounds, or with
            values that are not finite.
    """
    head = check(contents)
    return _deep_values(contents, head) if head.is_deep else None


def _deep_rgb(
    contents: bytes,
    head: picture_head.PictureHead,
    value_range: value_range_lib.Choice | None,
) -> np.ndarray:
    values = _deep_values(contents, head)
    try:
        image = value_range_lib.to_bytes(values, value_range)
    except value_range_lib.NoContrastError as error:
        raise UnusableDeepError(str(error)) from error
    if head.tiff is not None and head.tiff.is_white_zero:
        image = 255 - image
    return np.ascontiguousarray(np.broadcast_to(image, (*image.shape[:2], 3)))


def _deep_values(contents: bytes, head: picture_head.PictureHead) -> np.ndarray:
    """Returns a picture's values, [H, W, 3] RGB or [H, W, 1]."""
    if head.tiff is not None and not head.tiff.is_for_opencv:
        try:
            values = tiff.decode(contents)
        except ValueError as error:
            raise UnusableDeepError(str(error)) from error
    else:
        values = np.atleast_3d(_decode(contents, head, cv2.IMREAD_UNCHANGED))
        if values.shape[2] > 2:
            values = values[..., 2::-1]  # from BGR
    values = values[..., : 3 if values.shape[2] > 2 else 1]  # without alpha
    try:
        value_range_lib.check_finite(values)
    except ValueError as error:
        raise UnusableDeepError(str(error)) from error
    return values


def save(
    path: str | os.PathLike, image: np.ndarray, options: Sequence[int] = ()
) -> None:
    """Writes a picture, in the format of the path's suffix.

    Args:
        path: of the file.
        image: uint8 [H, W, 3] BGR or [H, W].
        options: OpenCV's, such as IMWRITE_JPEG_QUALITY and its value.

    Raises:
        OSError: it cannot be written; OpenCV says no more than that.
    """
    if not cv2.imwrite(names.for_opencv(path), image, options):
        raise OSError(
            f"Could not write {names.shown(path)}. Is the disk full, or the "
            "folder read-only?"
        )


def _readable_head(contents: bytes) -> picture_head.PictureHead:
    if not contents:
        raise UnusablePictureError("the file is empty")
    head = picture_head.read_head(contents)
    if head is None:
        raise UnusablePictureError("its bytes are no picture that can be read")
    if head.num_channels > MAX_CHANNELS:
        raise UnusableDeepError(
            f"it has {head.num_channels} channels, above {MAX_CHANNELS}; save "
            "three of them (or one) as a picture of its own"
        )
    if head.problem:
        raise UnusableDeepError(head.problem)
    sides = sorted((head.width, head.height))
    if sides[0] < MIN_SIDE_PX:
        raise UnusablePictureError(
            f"it is {_size(head)}, under {MIN_SIDE_PX} a side"
        )
    if sides[1] > MAX_ASPECT * sides[0]:
        raise UnusablePictureError(
            f"it is {_size(head)}, more than {MAX_ASPECT} times as long as "
            "wide; cut it into pieces"
        )
    return head


def _reduction(
    head: picture_head.PictureHead, smallest_side_px: int | None
) -> int:
    """Returns by how much a JPEG is made smaller while it is decoded."""
    short_side = min(head.width, head.height)
    return max(
        factor
        for factor in _READ
        if factor == 1
        or (smallest_side_px and short_side >= factor * smallest_side_px)
        # The smallest that brings it under the bound.
        or head.num_pixels > (factor // 2) ** 2 * MAX_PIXELS
    )


def _check_size(head: picture_head.PictureHead, factor: int) -> None:
    """Raises UnusablePictureError for more than is decoded.

    Args:
        head: of a picture.
        factor: by which it is made smaller while it is decoded.
    """
    # Of a progressive one the whole is held.
    share = factor**2 if head.is_baseline_jpeg else 1
    if head.num_pixels > share * MAX_PIXELS:
        raise UnusablePictureError(
            f"it claims {_size(head)}, above the {MAX_PIXELS} that are "
            "decoded; make it smaller"
        )
    num_bytes = head.num_pixels * head.bytes_a_pixel
    if head.is_deep and num_bytes > MAX_DEEP_BYTES:
        raise UnusablePictureError(
            f"it is {_size(head)} of {num_bytes} bytes, above the "
            f"{MAX_DEEP_BYTES} that are decoded; make it smaller"
        )


def _decode(
    contents: bytes, head: picture_head.PictureHead, flags: int
) -> np.ndarray:
    flags |= cv2.IMREAD_IGNORE_ORIENTATION
    try:
        image = cv2.imdecode(np.frombuffer(contents, np.uint8), flags)
        if image is None and contents.startswith(picture_head.JPEG_START):
            image = _decode_cut_off(contents, flags)
    except cv2.error as error:
        raise UnusablePictureError(f"OpenCV says {error.err}") from error
    if image is None:
        raise UnusablePictureError("its bytes are no picture that can be read")
    if head.white == 255:
        return image
    scaled = (image.astype(np.uint16) * 255 + head.white // 2) // head.white
    return np.minimum(scaled, 255).astype(np.uint8)


def _decode_cut_off(contents: bytes, flags: int) -> np.ndarray | None:
    """Decodes what is there of a JPEG; None of too little."""
    whole = np.frombuffer(contents + picture_head.JPEG_END, np.uint8)
    image = cv2.imdecode(whole, flags)
    if image is None:
        return None
    lines = np.nonzero((image.reshape(len(image), -1) != _MISSING).any(1))[0]
    num_lines = 1 + lines[-1] if len(lines) else 0
    return image if num_lines >= MIN_LINES_SHARE * len(image) else None


def _size(head: picture_head.PictureHead) -> str:
    text = f"{head.width}x{head.height} pixels"
    if head.num_pixels != head.width * head.height:
        text += f", {head.num_pixels} in all frames"
    return text
