"""Tests for labelled frames as examples."""

import dataclasses
import signal
import threading
import time

import cv2
import each_change
import motion_clips
import numpy as np
import pytest
import task_cases
import tensorflow as tf

from mtssl_tf import motion
from mtssl_tf import tasks
from mtssl_tf.data import order
from mtssl_tf.data import skipped as skipped_lib
from mtssl_tf.data import source as source_lib
from mtssl_tf.data import videos
from mtssl_tf.motion import clips
from mtssl_tf.motion import labelled_frame
from mtssl_tf.motion import labeller
from mtssl_tf.process import atomic_file
from mtssl_tf.training import batches


@pytest.fixture(scope="module")
def source(samples, tmp_path_factory) -> videos.VideoSource:
    cache = tmp_path_factory.mktemp("videos") / "cache"
    whole = videos.open_videos(
        str(samples.videos), motion.MotionConfig(), cache, 96
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


@pytest.mark.parametrize("name", ["frame_order", "odd_one_out"])
def test_which_frames_are_read_says_nothing_of_the_answer(
    source, monkeypatch, name
):
    """A kind of fault: two draws from one seed, which are the same number.

    The first frame was the answer of two tasks, and a third saw each frame at
    one size alone.
    """
    read = []

    def grey(reader, position, fraction):
        read.append((position, fraction))
        level = np.full([8, 96, 96, 3], round(255 * fraction), np.uint8)
        return level, np.zeros([96, 96, 1], np.uint8)

    monkeypatch.setattr(videos._FrameReader, "read", grey)
    config = task_cases.small_config(name).tasks[name]
    task = tasks.TASKS[name](config)
    made = batches.build_batches(
        task, source, 0, skipped_lib.SkippedExamples(), num_positions=256
    ).as_numpy_iterator()
    levels, answers = zip(
        *((each["views"].mean((1, 2, 3, 4)), each["target"]) for each in made)
    )
    levels, answers = np.concatenate(levels), np.concatenate(answers)
    for answer in range(task.num_classes):
        # 0.29 / 85 ** 0.5 is what chance moves a mean by.
        mean = levels[answers == answer].mean() / 255
        assert mean == pytest.approx(0.5, abs=0.12), answer
    positions, fractions = zip(*read)
    shares = [
        tf.random.stateless_uniform([12], order.example_seed(position, 0))
        for position in positions
    ]
    for share in np.transpose(shares):
        assert abs(np.corrcoef(share, fractions)[0, 1]) < 0.3


def test_streams_start_anywhere(source):
    whole = _stream(source, 0, 9)
    for late, same in zip(_stream(source, 5, 9), whole[5:]):
        np.testing.assert_array_equal(late["image"], same["image"])


def _cache_files(source):
    folder = source.labeller.cache.folder
    return tuple(atomic_file.find(folder, f"*/*.{x}") for x in ("jpg", "png"))


@pytest.mark.parametrize("damage", ["remove", "empty", "forget"])
def test_damaged_or_dropped_entries_are_made_again(source, damage):
    before = _stream(source, 0, 3)
    for files in _cache_files(source):
        for file in files:
            if damage == "empty":
                file.write_bytes(b"")
            elif damage == "remove":
                file.unlink()
            else:
                (file.parent / "entry.json").unlink(missing_ok=True)
    for example, same in zip(_stream(source, 0, 3), before, strict=True):
        np.testing.assert_array_equal(example["image"], same["image"])
        np.testing.assert_array_equal(example["moving"], same["moving"])


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """A folder of one film of many parts."""
    folder = tmp_path_factory.mktemp("film")
    frames, _ = motion_clips.panning_clip(400, size=(48, 64), object_px=0.02)
    motion_clips.save_video(folder / "film.avi", frames)
    return folder


def _open(film, folder, **options):
    return videos.open_videos(
        str(film), motion.MotionConfig(), folder / "cache", 48, **options
    )


def test_the_first_batch_does_not_wait_for_the_film_to_end(film, tmp_path):
    source = _open(film, tmp_path)
    stream = iter(
        source.stream(
            tf.data.Dataset.range(10**6), 0, skipped_lib.SkippedExamples()
        )
    )
    next(stream)
    num_frames = len(_cache_files(source)[0])
    assert 0 < num_frames < 390
    source.close()


def test_labels_ahead_of_use(film, tmp_path):
    """One example is read; all of the film is labelled after a while."""
    source = _open(film, tmp_path)
    stream = iter(
        source.stream(
            tf.data.Dataset.range(10**6), 0, skipped_lib.SkippedExamples()
        )
    )
    next(stream)
    end = time.monotonic() + 300
    while len(_cache_files(source)[0]) < 390:
        assert time.monotonic() < end
        time.sleep(0.1)
    del stream
    source.close()


@pytest.mark.parametrize(
    "max_bytes", each_change.only(2**17, of=[2**17, 2**30])
)
def test_a_stream_is_the_same_whatever_was_labelled_before(
    film, tmp_path, max_bytes
):
    """To the bit: started late, with a full cache, or one that is too small."""
    whole = _stream(_open(film, tmp_path), 0, 96)
    late = _stream(_open(film, tmp_path / "late", max_bytes=max_bytes), 64, 96)
    again = _stream(_open(film, tmp_path), 64, 96)
    for example, same, expected in zip(late, again, whole[64:], strict=True):
        for key in ("image", "moving"):
            np.testing.assert_array_equal(example[key], expected[key])
            np.testing.assert_array_equal(same[key], expected[key])


def test_closing_ends_a_stream_at_once(film, tmp_path):
    source = _open(film, tmp_path)
    dataset = source.stream(
        tf.data.Dataset.range(10**6), 0, skipped_lib.SkippedExamples()
    )
    threading.Timer(0.3, source.close).start()
    start_s = time.monotonic()
    with pytest.raises(labeller.ClosedError):
        for _ in source_lib.iterate(dataset, source):
            pass
    assert time.monotonic() - start_s < 10


def test_ctrl_c_is_answered_while_a_film_is_labelled(film, tmp_path):
    source = _open(film, tmp_path)
    dataset = source.stream(
        tf.data.Dataset.range(10**6), 0, skipped_lib.SkippedExamples()
    ).batch(4096)
    main = threading.main_thread().ident
    timer = threading.Timer(0.3, signal.pthread_kill, (main, signal.SIGINT))
    # A shell starts what runs in its background with SIGINT ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    timer.start()
    start_s = time.monotonic()
    try:
        with pytest.raises(KeyboardInterrupt):
            next(source_lib.iterate(dataset, source))
    finally:
        signal.signal(signal.SIGINT, before)
    assert time.monotonic() - start_s < 10
    with pytest.raises(labeller.ClosedError):
        source.labeller.check()


def test_a_full_disk_is_one_plain_error(film, tmp_path, monkeypatch):
    def full_disk(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(labelled_frame, "save_frame", full_disk)
    source = _open(film, tmp_path)
    dataset = source.stream(
        tf.data.Dataset.range(8), 0, skipped_lib.SkippedExamples()
    )
    with pytest.raises(OSError, match="No space left.*data.cache_dir"):
        list(source_lib.iterate(dataset, source))


def test_a_clip_that_vanished_is_skipped_and_named(source, tmp_path):
    gone = clips.Clip("gone", tmp_path / "gone.mp4")
    both = dataclasses.replace(source, clips=(gone, *source.clips))
    skipped = skipped_lib.SkippedExamples()
    assert len(_stream(both, 0, 8, skipped)) == 8
    assert [name for name, _ in skipped.items()] == ["gone"]


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


def _frames_stream(source, num_positions, num_frames, skipped):
    positions = tf.data.Dataset.range(num_positions)
    return list(source.stream(positions, 0, skipped, num_frames=num_frames))


def test_frames_of_a_clip_come_in_the_order_of_time(tmp_path):
    # Every frame is brighter than the one before.
    frames, _ = motion_clips.panning_clip(60, size=(48, 64), object_px=0.02)
    light = np.linspace(0.5, 1, len(frames))[:, None, None, None]
    folder = tmp_path / "clips"
    motion_clips.save_frames(folder / "one", (frames * light).astype(np.uint8))
    source = _open(folder, tmp_path)
    starts = set()
    for example in _frames_stream(source, 12, 6, skipped_lib.SkippedExamples()):
        assert example["frames"].shape == (6, 48, 64, 3)
        np.testing.assert_array_equal(example["frames"][0], example["image"])
        brightness = example["frames"].numpy().mean(axis=(1, 2, 3))
        assert (np.diff(brightness) > 0).all()
        starts.add(brightness[0])
    assert len(starts) > 4
    source.close()


def test_frames_are_evenly_apart_and_use_the_whole_part():
    assert videos._frame_numbers(32, 8, np.float32(0.0)) == list(
        range(0, 29, 4)
    )
    assert videos._frame_numbers(32, 8, np.float32(0.99)) == list(
        range(3, 32, 4)
    )
    assert videos._frame_numbers(8, 8, np.float32(0.99)) == list(range(8))
    # One frame is any of them.
    assert videos._frame_numbers(5, 1, np.float32(0.99)) == [4]
    assert videos._frame_numbers(1, 1, np.float32(0.99)) == [0]


def test_clips_too_short_for_the_frames_are_named(tmp_path):
    frames, _ = motion_clips.panning_clip(14, size=(48, 64))
    folder = tmp_path / "clips"
    motion_clips.save_frames(folder / "short", frames)
    source = _open(folder, tmp_path)
    skipped = skipped_lib.SkippedExamples()
    with pytest.raises(
        tf.errors.InvalidArgumentError, match="No part with 8 usable frames"
    ):
        _frames_stream(source, 1, 8, skipped)
    # Kind: the reason stays behind TensorFlow, and people see another.
    with pytest.raises(
        source_lib.SourceError, match="No part with 8 usable .*leave the task"
    ):
        source.raise_failure()
    ((name, reason),) = skipped.items()
    assert name == "short" and "no part of this clip has 8 frames" in reason
    source.close()
