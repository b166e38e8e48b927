"""Sizes are read before pixels, in every format, and bounded.

The kind of fault: memory and time set by one picture.
"""

import io
import os
import resource
import struct
import zlib

import cv2
import numpy as np
import PIL.Image
import pytest
import tifffile

from mtssl_tf.files import picture
from mtssl_tf.files import picture_head


def _encode(array, kind, **options):
    buffer = io.BytesIO()
    PIL.Image.fromarray(array).save(buffer, kind, **options)
    return buffer.getvalue()


def _scene(height=40, width=56):
    y, x = np.mgrid[:height, :width]
    return np.stack([4 * y, 3 * x, 100 + y], -1).astype(np.uint8)


def _png_head(width, height, bits=8, color=2):
    """Returns a PNG whose pixels are cut off."""
    ihdr = b"IHDR" + struct.pack(
        ">IIBBBBB", width, height, bits, color, 0, 0, 0
    )
    checksum = struct.pack(">I", zlib.crc32(ihdr))
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + ihdr + checksum


def _white_png(width, height, bits, color, bytes_a_row):
    """Returns a whole PNG of one color, made a row at a time."""
    packer = zlib.compressobj(9)
    row = b"\0" + b"\xff" * bytes_a_row
    parts = [packer.compress(row) for _ in range(height)] + [packer.flush()]

    def chunk(name, body):
        return (
            struct.pack(">I", len(body))
            + name
            + body
            + struct.pack(">I", zlib.crc32(name + body))
        )

    head = _png_head(width, height, bits, color)
    return head + chunk(b"IDAT", b"".join(parts)) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("JPEG", {}),
        ("JPEG", {"progressive": True}),
        ("JPEG", {"comment": b"\xff\xc0" + b"x" * 1000}),
        ("PNG", {}),
        ("GIF", {}),
        ("BMP", {}),
        ("WEBP", {}),
        ("WEBP", {"lossless": True}),
        ("WEBP", {"exif": b"Exif\0\0x"}),  # the extended form
        ("TIFF", {}),
        ("JPEG2000", {}),
        ("PPM", {}),
    ],
)
def test_every_format_says_its_size(kind, options):
    head = picture_head.read_head(_encode(_scene(), kind, **options))
    assert (head.height, head.width) == (40, 56)
    is_progressive = options.get("progressive", False)
    assert head.is_baseline_jpeg == (kind == "JPEG" and not is_progressive)


def test_os2_and_upside_down_bmp():
    os2 = b"BM" + bytes(12) + struct.pack("<IHHHH", 12, 56, 40, 1, 24)
    assert picture_head.read_head(os2).width == 56
    down = b"BM" + bytes(12) + struct.pack("<Iii", 40, 56, -40)
    assert picture_head.read_head(down).height == 40


@pytest.mark.parametrize("kind", ["GIF", "WEBP"])
def test_all_frames_count_since_decoders_unpack_them(kind):
    frames = [
        PIL.Image.fromarray(np.full((20, 30), value, np.uint8))
        for value in (0, 90, 200)
    ]
    buffer = io.BytesIO()
    frames[0].save(buffer, kind, save_all=True, append_images=frames[1:])
    head = picture_head.read_head(buffer.getvalue())
    assert (head.width, head.height) == (30, 20)
    assert 3 * 600 <= head.num_pixels <= 4 * 600


def test_bytes_that_are_cut_anywhere_have_a_head_or_none():
    for kind in ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF"):
        contents = _encode(_scene(), kind)
        for end in range(0, min(len(contents), 700), 3):
            head = picture_head.read_head(contents[:end])
            assert head is None or head.width <= 2**16


def _refusals(contents):
    """Returns what is said of a picture that is refused."""
    with pytest.raises(picture.UnusablePictureError) as refusal:
        picture.decode_rgb(contents)
    return str(refusal.value)


@pytest.mark.parametrize(
    ("width", "height", "bits", "color", "bytes_a_row"),
    [
        (30_000, 30_000, 1, 0, 3750),  # black and white: 0.1 MB
        (20_000, 20_000, 8, 2, 60_000),
    ],
)
def test_a_picture_of_gigabytes_is_refused_undecoded(
    width, height, bits, color, bytes_a_row
):
    contents = _white_png(width, height, bits, color, bytes_a_row)
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    said = _refusals(contents)
    after_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert f"claims {width}x{height} pixels, above the 67108864" in said
    assert after_kb - before_kb < 200_000


@pytest.mark.parametrize(
    "contents",
    [
        _png_head(2**31 - 1, 2**31 - 1),
        b"\xff\xd8\xff\xc2" + struct.pack(">HBHHB", 17, 8, 60_000, 60_000, 3),
        b"BM" + bytes(12) + struct.pack("<Iii", 40, 2**30, -(2**30)),
        b"GIF89a" + struct.pack("<HHBBB", 60_000, 60_000, 0, 0, 0),
        b"GIF89a"
        + struct.pack("<HHBBB", 100, 100, 0, 0, 0)
        + (b"," + struct.pack("<HHHHB", 0, 0, 60_000, 60_000, 0) + b"\2\0"),
        b"RIFF....WEBPVP8X\x0a\0\0\0\0\0\0\0" + b"\xff\xff\x00" * 2,
    ],
)
def test_a_head_that_claims_too_much_is_enough(contents):
    assert "claims" in _refusals(contents)


def test_a_strip_is_refused():
    """Scaled up to a view's height, 8 rows become gigabytes."""
    said = _refusals(_encode(np.zeros((8, 60_000), np.uint8), "PNG"))
    assert "60000x8" in said and "32 times" in said
    long = _encode(np.zeros((8, 256), np.uint8), "PNG")
    assert picture.decode_rgb(long).shape == (8, 256, 3)


def test_a_jpeg_above_the_bound_is_read_at_a_fraction(monkeypatch):
    monkeypatch.setattr(picture, "MAX_PIXELS", 40 * 56 // 5)
    contents = cv2.imencode(".jpg", _scene()[..., ::-1])[1].tobytes()
    decoded = picture.decode_rgb(contents)
    assert decoded.shape == (10, 14, 3)
    middle = _scene()[2::4, 2::4].astype(int)
    assert np.abs(decoded - middle).mean() < 8
    progressive = _encode(_scene(), "JPEG", progressive=True)
    with pytest.raises(picture.UnusablePictureError, match="56x40"):
        picture.decode_rgb(progressive)  # the whole would be held


@pytest.mark.parametrize(
    "options",
    [{}, {"subsampling": 0}, {"quality": 30}, {"progressive": True}],
)
def test_a_jpegs_pixels_are_those_that_others_see(options):
    """Against Pillow. A kind of fault: a trunk is trained on other pixels than
    it meets. TensorFlow's decoder saves time at the cost of up to 20 levels.
    """
    noise = np.random.default_rng(0).integers(0, 255, (40, 56, 3), np.uint8)
    contents = _encode(noise, "JPEG", **options)
    with PIL.Image.open(io.BytesIO(contents)) as image:
        expected = np.array(image)
    np.testing.assert_array_equal(picture.decode_rgb(contents), expected)


def test_no_reader_turns_a_picture():
    """One turned by EXIF, the others did not, and labels lay upside down."""
    exif = PIL.Image.Exif()
    for orientation in range(1, 9):
        exif[0x0112] = orientation
        turned = _encode(_scene(), "JPEG", exif=exif, quality=95)
        for decoded in (
            picture.decode_rgb(turned),
            picture.decode(turned)[..., ::-1],
            picture.decode(turned, cv2.IMREAD_UNCHANGED)[..., ::-1],
        ):
            assert decoded.shape == (40, 56, 3)
            assert np.abs(decoded.astype(int) - _scene()).mean() < 8
        assert picture.decode_rgb(turned, None, 20).shape == (20, 28, 3)


def test_random_bytes_and_mutations_are_refused_in_words():
    """No other error than the one that skips and names a picture."""
    rng = np.random.default_rng(0)
    kinds = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "PPM")
    wholes = [_encode(_scene(), kind) for kind in kinds] + [os.urandom(400)]
    for whole in wholes:
        for _ in range(60):
            mutated = np.frombuffer(whole, np.uint8).copy()
            places = rng.integers(0, min(len(mutated), 64), 4)
            mutated[places] = rng.integers(0, 256, 4)
            try:
                decoded = picture.decode_rgb(mutated.tobytes())
            except picture.UnusablePictureError:
                continue
            assert decoded.size <= 3 * picture.MAX_PIXELS


def test_a_jpeg_of_nothing_is_refused_undecoded():
    # A kind of fault: a decoder that does not end. TensorFlow's never returned
    # from these 16 bytes where it was to recover what is cut off.
    contents = b"\xff\xd8\xff\x00\x00\x19\x00\x00\x04" + bytes(5) + b"\xd8\xff"
    with pytest.raises(picture.UnusablePictureError):
        picture.decode_rgb(contents)


def test_a_file_of_gigabytes_is_not_read(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(_encode(_scene(), "JPEG"))
    assert picture.read(path) == path.read_bytes()
    os.truncate(path, 2**33)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(picture.UnusablePictureError, match="8589934592 bytes"):
        picture.read(path)
    with pytest.raises(picture.UnusablePictureError, match="no regular file"):
        picture.read("/dev/zero")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**17


@pytest.mark.parametrize("needed", [None, 48])
@pytest.mark.parametrize("share", [0.97, 0.8, 0.6, 0.3])
def test_what_is_there_of_a_jpeg_that_is_cut_off_is_used(share, needed):
    """The kind: two ways to decode, of which one refused."""
    noise = np.random.default_rng(0).integers(0, 255, (256, 96, 3), np.uint8)
    whole = _encode(cv2.blur(noise, (5, 5)), "JPEG", quality=95)
    contents = whole[: int(share * len(whole))]
    if share < picture.MIN_LINES_SHARE:
        with pytest.raises(
            picture.UnusablePictureError, match="no picture that can be read"
        ):
            picture.decode_rgb(contents, None, needed)
        return
    got = picture.decode_rgb(contents, None, needed)
    assert len(got) == (128 if needed else 256)
    is_there = slice(int(0.9 * share * len(got)))
    np.testing.assert_array_equal(
        got[is_there], picture.decode_rgb(whole, None, needed)[is_there]
    )


def test_a_jpeg_of_many_scans_is_refused_undecoded():
    whole = _encode(_scene(), "JPEG", progressive=True)
    assert not picture_head.read_head(whole).problem
    empty = b"\xff\xda" + bytes([0, 8, 1, 1, 0, 1, 63, 0])
    with pytest.raises(picture.UnusablePictureError, match="scans, above 500"):
        picture.decode_rgb(whole[:-2] + 600 * empty + whole[-2:])


def test_a_film_behind_a_jpeg_is_no_cut_and_a_thumbnails_end_no_end():
    whole = _encode(_scene(), "JPEG")
    for behind in (b"", b"\0" * 3000, b"ftyp film"):
        assert not picture_head.read_head(whole + behind).is_cut_off
    thumbnail = b"\xff\xe1" + struct.pack(">H", 2 + len(whole)) + whole
    cut_off = b"\xff\xd8" + thumbnail + whole[2:-2]
    assert picture_head.read_head(cut_off).is_cut_off
    assert not picture_head.read_head(cut_off + b"\xff\xd9").is_cut_off


@pytest.mark.parametrize("kind", [np.complex64, np.complex128])
def test_a_complex_tiff_is_refused_by_name(tmp_path, kind):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.ones((64, 64), kind))
    for value_range in (None, (0.0, 1.0)):
        with pytest.raises(picture.UnusablePictureError, match="magnitude"):
            picture.decode_rgb(path.read_bytes(), value_range)


@pytest.mark.parametrize("white", [1, 15, 100, 255])
@pytest.mark.parametrize("kind", ["P2", "P3", "P5", "P6"])
def test_white_is_white_whatever_number_a_format_has_for_it(kind, white):
    """Against Pillow. A kind of fault: a picture is far darker than it is."""
    channels = 3 if kind in ("P3", "P6") else 1
    values = (np.arange(16 * 16 * channels) % (white + 1)).astype(np.uint8)
    pixels = (
        values.tobytes()
        if kind in ("P5", "P6")
        else b"".join(f"{value}\n".encode() for value in values)
    )
    contents = f"{kind}\n# of a scanner\n16 16\n{white}\n".encode() + pixels
    with PIL.Image.open(io.BytesIO(contents)) as image:
        expected = np.array(image.convert("RGB"))
    found = picture.decode_rgb(contents)
    assert found.max() == 255
    np.testing.assert_allclose(found, expected.astype(int), atol=1)
    np.testing.assert_array_equal(picture.decode(contents)[..., ::-1], found)
