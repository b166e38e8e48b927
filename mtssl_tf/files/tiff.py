"""TIFF: what its first page is, and pages that OpenCV reads wrongly.

OpenCV decodes what is compressed, into memory of a known size. Of samples
that lie in planes, of two channels and of half floats it makes other pictures
without a word: those are read by tifffile, uncompressed ones only, since it
would unpack anything to any size.
"""

from __future__ import annotations

import dataclasses
import io
import logging
from typing import Any

import numpy as np

MARKS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # the latter two: BigTIFF
_UNCOMPRESSED = 1
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB = 0, 1, 2  # photometric interpretations
_SEPARATE_PLANES = 2
_PLAIN = (_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB)
_UNSIGNED, _SIGNED, _FLOAT = 1, 2, 3  # sample formats
_COMPLEX = (5, 6)  # of whole numbers, of floats
_OPENCV_CHANNELS = (1, 3, 4)
_ORIENTATION = 274
# As OpenCV turns what it reads: whether lines are columns, and the steps along
# height and width after that.
_TURNS = {
    1: (False, 1, 1),
    2: (False, 1, -1),
    3: (False, -1, -1),
    4: (False, -1, 1),
    5: (True, 1, 1),
    6: (True, 1, -1),
    7: (True, -1, -1),
    8: (True, -1, 1),
}
_OPENCV_SAMPLES = {
    *((_UNSIGNED, bits) for bits in (10, 12, 14, 16, 32)),
    *((_SIGNED, bits) for bits in (16, 32)),
    *((_FLOAT, bits) for bits in (32, 64)),
}


@dataclasses.dataclass(frozen=True)
class TiffHead:
    """What the first page says of itself.

    Attributes:
        width: in pixels.
        height: in pixels.
        num_pixels: that a decoder holds at once: a tile can be larger.
        num_channels: samples of a pixel.
        bytes_a_pixel: in memory.
        is_deep: whether samples are other than 8 bits that count from 0.
        is_white_zero: whether the smallest value of deep ones is white.
        is_for_opencv: whether OpenCV reads it rightly.
        problem: '' or why nothing here reads it rightly.
    """

    width: int
    height: int
    num_pixels: int
    num_channels: int
    bytes_a_pixel: int
    is_deep: bool
    is_white_zero: bool
    is_for_opencv: bool
    problem: str


def read_head(contents: bytes) -> TiffHead | None:
    """Returns the head of a TIFF's first page, or None where it has none."""
    try:
        with _opened(contents) as file:
            return _head(file.pages.first)
    except Exception:  # it raises whatever it trips on
        return None


def _opened(contents: bytes) -> Any:
    import tifffile  # only where there is a TIFF

    # It talks of every tag that it does not understand.
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)
    return tifffile.TiffFile(io.BytesIO(contents))


def _head(page: Any) -> TiffHead:
    width, height = int(page.imagewidth), int(page.imagelength)
    channels, bits = int(page.samplesperpixel), int(page.bitspersample)
    tile_pixels = 0
    if page.is_tiled:
        tile_pixels = int(page.tilewidth) * int(page.tilelength)
    kind = int(page.sampleformat or _UNSIGNED)
    is_deep = bits > 8 or kind != _UNSIGNED
    # What has 8 bits goes through libtiff's own conversion, which is right.
    unread = _unread_by_opencv(page, channels, bits, kind) if is_deep else ""
    problem = ""
    if kind in _COMPLEX:
        problem = "its samples are complex; save their magnitude"
    elif is_deep and int(page.photometric) not in _PLAIN:
        problem = f"its colours are {page.photometric.name}; save it as RGB"
    elif unread and int(page.compression) != _UNCOMPRESSED:
        problem = f"it is compressed and {unread}; save it uncompressed"
    elif channels == 2 and _is_in_planes(page) and not is_deep:
        problem = "it has two planes of 8 bits; save it as one of grey"
    return TiffHead(
        width,
        height,
        max(width * height, tile_pixels),
        channels,
        channels * -(-bits // 8),
        is_deep,
        is_deep and int(page.photometric) == _WHITE_IS_ZERO,
        not unread,
        problem,
    )


def _unread_by_opencv(page: Any, channels: int, bits: int, kind: int) -> str:
    """Returns what of deep samples OpenCV takes for something else, or ''."""
    if channels > 1 and _is_in_planes(page):
        return "has each channel in a plane of its own"
    if channels not in _OPENCV_CHANNELS:
        return f"has {channels} channels"
    if (kind, bits) not in _OPENCV_SAMPLES:
        return f"has samples of {bits} bits of a rare kind"
    return ""


def _is_in_planes(page: Any) -> bool:
    return int(page.planarconfig) == _SEPARATE_PLANES


def decode(contents: bytes) -> np.ndarray:
    """Decodes an uncompressed first page, whose head was found in bounds.

    Returns:
        The samples, [H, W, C] in the file's order and type, turned upright.

    Raises:
        ValueError: it cannot be read; says why.
    """
    try:
        with _opened(contents) as file:
            page = file.pages.first
            # [planes, depth, H, W, samples]
            values = page.asarray().reshape(page.shaped)
            orientation = page.tags.valueof(_ORIENTATION)
    except Exception as error:
        raise ValueError(f"tifffile says {error}") from error
    planes, depth, height, width, samples = values.shape
    if depth != 1:
        raise ValueError(f"it is a volume of {depth} layers in one page")
    picture = np.moveaxis(values[:, 0], 0, -2).reshape(
        height, width, planes * samples
    )
    is_turned, down, right = _TURNS.get(orientation, _TURNS[1])
    if is_turned:
        picture = picture.swapaxes(0, 1)
    return picture[::down, ::right]
