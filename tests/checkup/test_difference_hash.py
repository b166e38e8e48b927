"""The hash against a hand computation, and groups."""

import cv2
import numpy as np

from mtssl_tf.checkup import difference_hash


def test_bits_are_as_by_hand():
    image = np.full((8, 9, 3), 100, np.uint8)
    image[0, 1] = 200  # brighter than the pixel to its left: the first bit
    image[7, 8] = 200  # and the last one
    assert difference_hash.difference_hash(image) == 2**63 + 1


def test_another_size_has_the_same_hash():
    ramp = np.linspace(0, 255, 180).astype(np.uint8)
    image = np.repeat(np.tile(ramp, (160, 1))[..., None], 3, -1)
    half = cv2.resize(image, None, fx=0.5, fy=0.5)
    value = difference_hash.difference_hash(image)
    assert value == difference_hash.difference_hash(half) == 2**64 - 1


def test_groups_leave_out_the_plain_and_the_single():
    hashes = {"a": 1, "b": 0, "c": 1, "d": 2, "e": 0}
    assert difference_hash.groups(hashes) == [["a", "c"]]
