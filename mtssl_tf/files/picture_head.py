"""How large a picture says it is, before anything of it is decoded.

A few bytes can claim gigabytes of pixels. So the size is read from the head: of
JPEG, PNG, GIF, BMP and WebP by the code here, of TIFF by tifffile, of what else
OpenCV decodes by Pillow; none touches the pixels to do so.
"""

from __future__ import annotations

import dataclasses
import io
import re

import PIL.Image

from mtssl_tf.files import tiff as tiff_lib

_MAX_MARKERS = 10_000  # ours: of a JPEG before its size; cameras write tens
# SOF0 to SOF15 without DHT, JPG and DAC, whose numbers lie between them.
_JPEG_FRAMES = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_BASELINE = {0xC0, 0xC1}
JPEG_START, JPEG_END = b"\xff\xd8", b"\xff\xd9"
_JPEG_SCAN = b"\xff\xda"
_MAX_SCANS = 500  # ours: encoders write ten; libjpeg's own tools stop there too
_JPEG_LONE = {0x00, 0x01, *range(0xD0, 0xD9)}  # no length follows
_OTHER_KINDS = ("JPEG2000", "PPM", "SUN", "AVIF")
_MAX_PIXMAP_HEAD = 1024  # ours: bytes, with the comments in it
# The largest value follows width and height (Netpbm's P2, P3, P5 and P6).
_GAP = rb"(?:\s|#[^\n]*\n)+"
_PIXMAP = re.compile(_GAP.join([rb"P([2356])", rb"\d+", rb"\d+", rb"(\d+)\s"]))
_BINARY_PIXMAPS = (b"5", b"6")


@dataclasses.dataclass(frozen=True)
class PictureHead:
    """What a picture's head says.

    Attributes:
        width: in pixels.
        height: in pixels.
        num_pixels: of all frames together: decoders unpack more than one.
        is_baseline_jpeg: can be decoded at a half, a quarter or an eighth
            without the memory of the whole.
        is_cut_off: whether a JPEG's end is missing, of bytes that should be
            all of it.
        num_channels: with alpha; 3 where decoders make three of any.
        bytes_a_pixel: of the decoded picture in memory.
        is_deep: whether values have more than 8 bits, or do not count from 0.
        white: the value that stands for 255, where OpenCV leaves values as
            they are stored.
        tiff: more of a TIFF.
        problem: '' or why nothing here decodes it.
    """

    width: int
    height: int
    num_pixels: int
    is_baseline_jpeg: bool = False
    is_cut_off: bool = False
    num_channels: int = 3
    bytes_a_pixel: int = 3
    is_deep: bool = False
    white: int = 255
    tiff: tiff_lib.TiffHead | None = None
    problem: str = ""


def read_head(contents: bytes) -> PictureHead | None:
    """Returns a picture's head, or None where the bytes have none."""
    if contents.startswith(JPEG_START):
        return _jpeg(contents)
    if contents.startswith(b"\x89PNG\r\n\x1a\n"):
        return _png(contents)
    if contents.startswith((b"GIF87a", b"GIF89a")):
        return _gif(contents)
    if contents.startswith(b"BM"):
        return _bmp(contents)
    if contents.startswith(b"RIFF") and contents[8:12] == b"WEBP":
        return _webp(contents)
    if contents.startswith(tiff_lib.MARKS):
        return _tiff(contents)
    return _other(contents)


def _big(field: bytes) -> int:
    return int.from_bytes(field, "big")


def _little(field: bytes, signed: bool = False) -> int:
    return int.from_bytes(field, "little", signed=signed)


def _still(width: int, height: int) -> PictureHead | None:
    if not width or not height:
        return None
    return PictureHead(width, height, width * height)


def _jpeg(contents: bytes) -> PictureHead | None:
    position = 2
    for _ in range(_MAX_MARKERS):
        position = contents.find(b"\xff", position)
        if position < 0:
            return None
        while contents[position : position + 1] == b"\xff":
            position += 1
        marker = _big(contents[position : position + 1])
        position += 1
        if marker in _JPEG_LONE:
            continue
        if marker in _JPEG_FRAMES:
            height = _big(contents[position + 3 : position + 5])
            width = _big(contents[position + 5 : position + 7])
            head = _still(width, height)
            end = _end_of_jpeg(contents, position)
            is_baseline = marker in _JPEG_BASELINE
            return head and dataclasses.replace(
                head,
                is_baseline_jpeg=is_baseline,
                is_cut_off=end is None,
                problem=(
                    ""
                    if is_baseline
                    else _problem_of_scans(contents, position, end)
                ),
            )
        length = _big(contents[position : position + 2])
        if length < 2 or marker in (0xD9, 0xDA):  # the end, or pixels
            return None
        position += length
    return None


def _end_of_jpeg(contents: bytes, frame: int) -> int | None:
    """Returns where a JPEG ends, or None where it does not.

    Args:
        contents: of the file; there may be a film behind the picture.
        frame: where its frame's header is; before it may be a thumbnail.
    """
    if contents.endswith(JPEG_END):
        return len(contents)
    end = contents.find(JPEG_END, frame)
    return None if end < 0 else end


def _problem_of_scans(contents: bytes, frame: int, end: int | None) -> str:
    """Says so where each of very many scans would go over all pixels."""
    num_scans = contents.count(_JPEG_SCAN, frame, end)
    if num_scans <= _MAX_SCANS:
        return ""
    return f"it has {num_scans} scans, above {_MAX_SCANS}; save it anew"


def _png(contents: bytes) -> PictureHead | None:
    head = _still(_big(contents[16:20]), _big(contents[20:24]))
    if head is None or contents[24:25] != b"\x10":
        return head
    # 8 bytes: OpenCV makes four channels of two.
    return dataclasses.replace(head, bytes_a_pixel=8, is_deep=True)


def _bmp(contents: bytes) -> PictureHead | None:
    if _little(contents[14:18]) == 12:  # OS/2
        return _still(_little(contents[18:20]), _little(contents[20:22]))
    width = _little(contents[18:22], signed=True)
    height = _little(contents[22:26], signed=True)  # below 0: top row first
    return _still(abs(width), abs(height))


def _gif(contents: bytes) -> PictureHead | None:
    width, height = _little(contents[6:8]), _little(contents[8:10])
    num_pixels = width * height
    position = 13 + _color_table_bytes(contents[10:11])
    while (block := contents[position : position + 1]) in (b"!", b","):
        if block == b",":
            frame = contents[position : position + 10]
            num_pixels += _little(frame[5:7]) * _little(frame[7:9])
            position += 11 + _color_table_bytes(frame[9:10])
        else:
            position += 2
        while size := _little(contents[position : position + 1]):
            position += size + 1
        position += 1
    if not width or not height:
        return None
    return PictureHead(width, height, num_pixels)


def _color_table_bytes(flags: bytes) -> int:
    value = _little(flags)
    return 3 * 2 ** ((value & 7) + 1) if value & 0x80 else 0


def _webp(contents: bytes) -> PictureHead | None:
    kind = contents[12:16]
    if kind == b"VP8X":
        width = _little(contents[24:27]) + 1
        height = _little(contents[27:30]) + 1
        num_frames = max(1, _count_webp_frames(contents))
        return PictureHead(width, height, width * height * num_frames)
    if kind == b"VP8L":
        bits = _little(contents[21:25])
        return _still((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)
    return _still(
        _little(contents[26:28]) & 0x3FFF, _little(contents[28:30]) & 0x3FFF
    )


def _count_webp_frames(contents: bytes) -> int:
    count, position = 0, 12
    while len(header := contents[position : position + 8]) == 8:
        count += header[:4] == b"ANMF"
        size = _little(header[4:])
        position += 8 + size + size % 2
    return count


def _tiff(contents: bytes) -> PictureHead | None:
    head = tiff_lib.read_head(contents)
    if head is None or not head.width or not head.height:
        return None
    return PictureHead(
        head.width,
        head.height,
        head.num_pixels,
        num_channels=head.num_channels,
        bytes_a_pixel=max(head.bytes_a_pixel, 3),
        is_deep=head.is_deep,
        tiff=head,
        problem=head.problem,
    )


def _other(contents: bytes) -> PictureHead | None:
    try:
        with PIL.Image.open(io.BytesIO(contents), formats=_OTHER_KINDS) as head:
            found = _still(*head.size)
    except PIL.Image.DecompressionBombError:
        # Pillow tells no size; its limit is above any that is accepted here.
        limit = 2 * (PIL.Image.MAX_IMAGE_PIXELS or 0)
        return PictureHead(limit, limit, limit**2)
    except Exception:  # Pillow's readers raise whatever they trip on
        return None
    if found is None:
        return None
    pixmap = _PIXMAP.match(contents[:_MAX_PIXMAP_HEAD])
    white = int(pixmap[2]) if pixmap else 255
    is_deep = white > 255
    # Of the ones in plain text OpenCV makes 0..255 itself.
    is_raw = pixmap is not None and pixmap[1] in _BINARY_PIXMAPS
    return dataclasses.replace(
        found,
        bytes_a_pixel=6 if is_deep else 3,
        is_deep=is_deep,
        white=white if is_raw and 0 < white < 255 else 255,
    )
