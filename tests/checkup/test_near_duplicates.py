"""Tests for finding pictures that are nearly the same."""

import tracemalloc

import cv2
import motion_clips
import numpy as np

from mtssl_tf.checkup import near_duplicates


def _small(image):
    return cv2.resize(image, (16, 16), interpolation=cv2.INTER_AREA)


def _groups(images):
    return near_duplicates.find_groups(
        np.array([near_duplicates.difference_hash(i) for i in images]),
        np.stack([_small(image) for image in images]),
    )


def test_the_hash_by_hand():
    # Nine columns, each one brighter than that on its left: all 64 bits.
    ramp = np.arange(9, dtype=np.uint8) * 20
    rising = np.tile(ramp[None, :, None], (8, 1, 3))
    assert near_duplicates.difference_hash(rising) == 2**64 - 1
    assert near_duplicates.difference_hash(rising[:, ::-1].copy()) == 0


def test_copies_are_found_and_others_are_not():
    images = [motion_clips.texture(96, 128, seed) for seed in range(6)]
    _, jpeg = cv2.imencode(".jpg", images[2], [cv2.IMWRITE_JPEG_QUALITY, 50])
    compressed = cv2.imdecode(jpeg, cv2.IMREAD_COLOR)
    smaller = cv2.resize(images[2], (64, 48), interpolation=cv2.INTER_AREA)
    brighter = cv2.convertScaleAbs(images[4], alpha=1, beta=4)
    found = _groups([*images, compressed, smaller, brighter])
    assert found == [[2, 6, 7], [4, 8]]


def test_many_that_are_alike_take_no_more_memory():
    # A kind of fault: what grows with the square of what is alike, as of a
    # camera that stands still.
    count = 3000
    hashes = np.zeros(count, np.uint64)
    thumbnails = np.zeros((count, 16, 16, 3), np.uint8)
    tracemalloc.start()
    groups = near_duplicates.find_groups(hashes, thumbnails)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert groups == [list(range(count))]
    assert most < 2**25  # of all pairs it would be 2**26 bytes and more


def test_flat_pictures_of_other_colours_are_not_the_same():
    flat = [np.full((32, 32, 3), value, np.uint8) for value in (0, 100, 255)]
    assert _groups(flat) == []
    assert _groups([flat[0]] * 600) == [list(range(600))]
    assert _groups(flat[:1]) == []


def test_pairs_are_those_of_comparing_all_with_all():
    random = np.random.default_rng(0)
    hashes = random.integers(0, 2**63, 200, dtype=np.uint64)
    for index in range(0, 100, 2):
        flips = random.choice(64, random.integers(0, 6), replace=False)
        bits = sum(1 << int(flip) for flip in flips)
        hashes[index + 100] = hashes[index] ^ np.uint64(bits)
    found = {
        tuple(sorted(pair))
        for part in near_duplicates._hash_pairs(hashes)
        for pair in part.tolist()
    }
    expected = {
        (a, b)
        for a in range(200)
        for b in range(a + 1, 200)
        if int(hashes[a] ^ hashes[b]).bit_count() <= 3
    }
    assert found == expected and len(expected) > 20
