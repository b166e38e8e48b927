"""Tests for labelled frames as examples."""

import cv2
import numpy as np
import pytest
import tensorflow as tf

from mtssl_tf import motion
from mtssl_tf.data import sample_set
from mtssl_tf.data import skipped as skipped_lib
from mtssl_tf.data import videos


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> videos.VideoSource:
    folder = tmp_path_factory.mktemp("videos")
    samples = sample_set.build_sample_set(folder)
    whole = videos.open_videos(
        str(samples.videos), motion.MotionConfig(), folder / "cache", 96
    )
    return whole.subset(np.array([1, 3, 4]))


def _stream(source, first, last, skipped=None):
    if skipped is None:
        skipped = skipped_lib.SkippedExamples()
    return list(
        source.stream(
            tf.data.Dataset.range(first, last),
            0,
            skipped,
        )
    )


def test_every_position_gives_a_frame_and_its_mask(source):
    examples = _stream(source, 0, 9)
    assert [int(e["position"]) for e in examples] == list(range(9))
    for example in examples:
        assert example["image"].shape[0] == 96
        assert example["moving"].shape[:2] == example["image"].shape[:2]
        assert set(np.unique(example["moving"])) <= {0, 255}


def test_streams_start_anywhere(source):
    whole = _stream(source, 0, 9)
    for late, same in zip(_stream(source, 5, 9), whole[5:]):
        np.testing.assert_array_equal(late["image"], same["image"])


def test_frames_that_the_cache_dropped_are_made_again(source):
    skipped = skipped_lib.SkippedExamples()
    reader = videos._FrameReader(source, skipped)
    before = reader.read(np.array([0]), np.float32(0.5))
    for folder in {frame.parent for frame, _ in source.labelled_frames(0)}:
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()
    after = reader.read(np.array([0]), np.float32(0.5))
    np.testing.assert_array_equal(before[0], after[0])


def test_clips_without_a_usable_frame_are_skipped_and_named(tmp_path, source):
    folder = tmp_path / "short"
    folder.mkdir()
    for number in range(3):
        frame = np.full((48, 48, 3), number, np.uint8)
        cv2.imwrite(str(folder / f"{number:05d}.png"), frame)
    bad = videos.open_videos(
        str(tmp_path), motion.MotionConfig(), tmp_path / "cache", 96
    )
    skipped = skipped_lib.SkippedExamples()
    with pytest.raises(tf.errors.InvalidArgumentError):
        _stream(bad, 0, 1, skipped)
    assert [name for name, _ in skipped.items()] == ["short"]


def test_folders_without_clips_are_named(tmp_path):
    for folder, error in (
        (tmp_path / "no", FileNotFoundError),
        (tmp_path, ValueError),
    ):
        with pytest.raises(error, match=str(folder)):
            videos.open_videos(str(folder), motion.MotionConfig(), tmp_path, 96)
