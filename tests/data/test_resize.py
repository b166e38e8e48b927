"""Tests for sizes and crops of pictures."""

import cv2
import numpy as np
import pytest
import tensorflow as tf

from mtssl_tf.data import resize


def _picture(height, width):
    random = np.random.default_rng(0)
    return random.integers(0, 256, (height, width, 3), np.uint8)


@pytest.mark.parametrize(
    "size, side, expected",
    [
        ((40, 60), 20, (20, 30)),
        ((60, 40), 80, (120, 80)),
        ((33, 50), 33, (33, 50)),
        ((30, 1000), 10, (10, 333)),
    ],
)
def test_the_short_side_and_the_aspect(size, side, expected):
    resized = resize.to_short_side(tf.constant(_picture(*size)), side)
    assert resized.shape[:2] == expected
    assert resized.dtype == tf.uint8


def test_shrinking_averages():
    image = _picture(60, 90)
    for side in (30, 24):
        resized = resize.to_short_side(tf.constant(image), side).numpy()
        expected = tf.image.resize(
            image, resized.shape[:2], tf.image.ResizeMethod.AREA
        )
        np.testing.assert_allclose(resized, expected, atol=0.51)


def test_a_fine_grid_leaves_no_moire():
    # Every other line white: any true average is grey.
    lines = np.zeros((100, 100, 3), np.uint8)
    lines[::2] = 255
    small = resize.to_short_side(tf.constant(lines), 20).numpy()
    assert abs(small.astype(int) - 127.5).max() < 30


def test_crops_lie_everywhere_in_the_picture():
    y, x = np.mgrid[:10, :12]
    image = tf.constant(np.stack([y, x, x], -1), tf.uint8)
    shares = np.random.default_rng(0).random((200, 2)).astype(np.float32)
    corners = {
        tuple(resize.random_cut(image, 10, 8, share)[0, 0, :2].numpy())
        for share in shares
    }
    expected = {(float(i), float(j)) for i in range(3) for j in range(5)}
    assert corners == expected


@pytest.mark.parametrize("size", [(60, 90), (90, 60), (31, 47), (20, 30)])
def test_a_cut_is_what_cutting_the_resized_picture_gives(size):
    # A slope, which every size of it shows: the cut must lie where it would.
    y, x = np.mgrid[: size[0], : size[1]]
    slope = np.stack([y * 2, x * 2, 0 * x], -1).astype(np.uint8)
    whole = resize.to_short_side(tf.constant(slope), 30).numpy().astype(int)
    scale = min(size) / 30
    for share in ((0.0, 0.0), (0.5, 0.3), (0.99, 0.99)):
        cut = resize.random_cut(
            tf.constant(slope), 30, 16, tf.constant(share)
        ).numpy()
        room = np.array(whole.shape[:2]) - 16 + 1
        top, left = (np.array(share) * room).astype(int)
        expected = whole[top : top + 16, left : left + 16]
        # Half a pixel of the picture at either end, and rounding.
        assert np.abs(cut - expected).max() <= 2 * 0.5 * max(scale, 1) + 1


def test_cuts_at_a_pictures_own_size_are_exact_and_everywhere():
    image = _picture(20, 24)
    corners = set()
    for share in np.random.default_rng(0).random((300, 2)).astype("float32"):
        cut = resize.random_cut(tf.constant(image), 20, 17, share).numpy()
        (corner,) = (
            (top, left)
            for top in range(4)
            for left in range(8)
            if (image[top : top + 17, left : left + 17] == cut).all()
        )
        corners.add(corner)
    assert len(corners) == 32


def test_whole_numbers_between_two_come_equally_often():
    shares = np.linspace(0, 0.9999, 1000, dtype=np.float32)
    numbers = [int(resize.between(3, 7, tf.constant(s))) for s in shares]
    assert np.bincount(numbers).tolist() == [0, 0, 0, 200, 200, 200, 200, 200]


def test_a_mirrored_cut_is_the_cut_mirrored():
    for channels in (1, 3):
        image = tf.constant(_picture(40, 50)[..., :channels])
        share = tf.constant([0.3, 0.7])
        plain = resize.random_cut(image, 30, 20, share).numpy()
        mirrored = resize.random_cut(image, 30, 20, share, True).numpy()
        np.testing.assert_array_equal(mirrored, plain[:, ::-1])


def _random_cut(image, short_side, side, share):
    """The same in NumPy: the window at the picture's own scale, resized."""
    scale = np.float32(min(image.shape[:2])) / np.float32(short_side)
    size = np.maximum(np.rint(np.float32(image.shape[:2]) / scale), short_side)
    corner = np.floor(share * (size - side + 1).astype(np.float32)) * scale
    last = np.rint(corner + np.float32(side) * scale).astype(int)
    top, left = np.rint(corner).astype(int)
    window = image[top : last[0], left : last[1]]
    shrinks = min(window.shape[:2]) >= side
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return cv2.resize(window, (side, side), interpolation=method)


def test_several_pictures_are_cut_alike_and_as_if_they_were_one():
    random = np.random.default_rng(1)
    for size in ((40, 60), (61, 47), (120, 90)):
        frame = random.integers(0, 256, (*size, 3), np.uint8)
        mask = 255 * random.integers(0, 2, (*size, 1), np.uint8)
        joined = np.concatenate([frame, mask], -1)
        for short_side in (24, 40, 77):
            share = random.random(2).astype(np.float32)
            cuts = resize.random_cuts([frame, mask], short_side, 16, share)
            together = np.concatenate([cut.numpy() for cut in cuts], -1)
            np.testing.assert_array_equal(
                together, _random_cut(joined, short_side, 16, share)
            )
