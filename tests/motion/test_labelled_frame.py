"""Tests for a frame and its mask on disk."""

import numpy as np
import pytest
import skimage.data

from mtssl_tf.motion import labelled_frame


def _saved(folder):
    frame = skimage.data.astronaut()[::4, ::4]
    moving = np.random.default_rng(0).random(frame.shape[:2]) < 0.3
    files = labelled_frame.files(folder, "000007")
    labelled_frame.save_frame(files, frame)
    labelled_frame.save_mask(files, moving)
    return files, frame, moving


def test_a_mask_comes_back_exactly_and_takes_a_bit_a_pixel(tmp_path):
    files, frame, moving = _saved(tmp_path)
    image, mask = labelled_frame.load(files)
    np.testing.assert_array_equal(mask[..., 0], 255 * moving)
    assert image.shape == frame.shape
    assert np.abs(image.astype(float) - frame).mean() < 6  # RGB, not BGR
    assert files[1].read_bytes()[24] == 1  # PNG's header: bits a sample


@pytest.mark.parametrize("number", [0, 1])
def test_what_cannot_be_read_is_none(tmp_path, number):
    files, _, _ = _saved(tmp_path)
    files[number].write_bytes(files[number].read_bytes()[:40])
    assert labelled_frame.load(files) is None


def test_a_path_of_any_bytes(tmp_path):
    folder = tmp_path / "odd_\udcff"
    folder.mkdir()
    files, _, _ = _saved(folder)
    assert labelled_frame.load(files) is not None
