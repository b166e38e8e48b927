"""TIFF of every kind is read rightly, or refused by name.

The kind of fault: another picture than the file's, without a word.
"""

import io

import numpy as np
import pytest
import tifffile

from mtssl_tf.files import picture
from mtssl_tf.files import picture_head

_ALL_SAMPLES = (
    *("uint8", "uint16", "int16", "uint32", "int32", "uint64"),
    *("int8", "float16", "float32", "float64"),
)


def _write(values, **options):
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, values, **options)
    return buffer.getvalue()


def _values(dtype, channels):
    rng = np.random.default_rng(channels)
    return (100 * rng.random((20, 30, channels))).astype(dtype)


def _expected(values):
    levels = np.rint(values[..., : 3 if values.shape[2] > 2 else 1] * 2.55)
    if values.dtype == np.uint8:
        levels = values[..., : 3 if values.shape[2] > 2 else 1]
    return np.broadcast_to(levels, (20, 30, 3))


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("planes", ["contig", "separate"])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("dtype", _ALL_SAMPLES)
def test_every_layout(dtype, channels, planes, compression, byteorder):
    values = _values(dtype, channels)
    stored = values[..., 0] if channels == 1 else values
    options = {"photometric": "rgb" if channels > 2 else "minisblack"}
    if channels > 1:
        options["planarconfig"] = planes
        if planes == "separate":
            stored = np.moveaxis(values, -1, 0)
    if channels in (2, 4):
        options["extrasamples"] = ["unspecified"]
    contents = _write(
        stored, compression=compression, byteorder=byteorder, **options
    )
    head = picture_head.read_head(contents)
    assert (head.width, head.height, head.num_channels) == (30, 20, channels)
    assert head.is_deep == (dtype != "uint8")
    try:
        decoded = picture.decode_rgb(contents, (0.0, 100.0))
    except picture.UnusablePictureError as error:
        assert "save it" in str(error)
        is_odd = channels == 2 or planes == "separate"
        is_rare = dtype in ("int8", "uint64", "float16")
        assert (compression and (is_odd or is_rare)) or channels == 2
        return
    off = np.abs(decoded.astype(int) - _expected(values.astype(np.float64)))
    if dtype == "uint8":
        off = np.abs(decoded.astype(int) - _expected(values))
    assert off.max() <= (dtype != "uint8")


def test_the_first_page_is_read():
    pages = _values("uint16", 5)
    contents = _write(np.moveaxis(pages, -1, 0), photometric="minisblack")
    decoded = picture.decode_rgb(contents, (0.0, 100.0))
    np.testing.assert_array_equal(decoded, _expected(pages[..., :1]))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("dtype", ["uint16", "float16"])
def test_both_readers_turn_it_upright(dtype, orientation):
    # A kind of fault: two readers of one format, and one leaves out a tag.
    values = _values(dtype, 3)
    contents = _write(
        values,
        photometric="rgb",
        extratags=[(274, "H", 1, orientation, True)],
    )
    assert picture_head.read_head(contents).tiff.is_for_opencv == (
        dtype == "uint16"
    )
    upright = values.astype(np.float64)
    if orientation > 4:
        upright = upright.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        upright = upright[::-1]
    if orientation in (2, 3, 6, 7):
        upright = upright[:, ::-1]
    decoded = picture.decode_rgb(contents, (0.0, 100.0))
    off = np.abs(decoded.astype(int) - np.rint(upright * 2.55))
    assert off.max() <= 1


def test_white_may_be_zero():
    values = _values("uint16", 1)
    contents = _write(values[..., 0], photometric="miniswhite")
    decoded = picture.decode_rgb(contents, (0.0, 100.0))
    np.testing.assert_array_equal(255 - decoded, _expected(values))


def test_tiles_and_big_tiff():
    values = np.tile(_values("uint16", 3), (4, 4, 1))
    for options in ({"tile": (32, 32)}, {"bigtiff": True}):
        contents = _write(values, photometric="rgb", **options)
        decoded = picture.decode_rgb(contents, (0.0, 100.0))
        np.testing.assert_array_equal(
            decoded[:20, :30], _expected(values[:20, :30])
        )


@pytest.mark.parametrize(
    ("values", "options", "said"),
    [
        (np.zeros((20, 30, 13), np.uint16), {}, "13 channels, above 4; save"),
        (np.zeros((20, 30, 13), np.uint8), {}, "13 channels, above 4; save"),
        (
            np.zeros((20, 30, 4), np.uint16),
            {"photometric": "separated"},
            "colours are SEPARATED; save it as RGB",
        ),
        (np.full((20, 30), np.nan, np.float32), {}, "600 of its 600 values"),
        (np.full((20, 30), 12, np.uint16), {}, "all its values are 12"),
    ],
)
def test_what_is_of_no_use_is_named(values, options, said):
    options = {"photometric": "minisblack", **options}
    if values.ndim == 3:
        options["planarconfig"] = "contig"
    with pytest.raises(picture.UnusableDeepError, match=said):
        picture.decode_rgb(_write(values, **options), (0.0, 100.0))


def test_pixels_and_bytes_are_bounded_before_any_is_decoded(monkeypatch):
    wide = _write(np.zeros((20, 30, 4), np.float64), photometric="rgb")
    monkeypatch.setattr(picture, "MAX_DEEP_BYTES", 20 * 30 * 4 * 8 - 1)
    with pytest.raises(picture.UnusablePictureError, match="19200 bytes"):
        picture.decode_rgb(wide)
    head = bytearray(_write(np.zeros((20, 30), np.uint16)))
    size = head.index(b"\x00\x01\x04\x00\x01\x00\x00\x00\x1e")  # width, 30
    head[size : size + 12] = b"\x00\x01\x04\x00\x01\x00\x00\x00\xff\xff\xff\x7f"
    with pytest.raises(picture.UnusablePictureError, match="2147483647x20"):
        picture.decode_rgb(bytes(head))
