"""The cache computes once, is never stale and stays bounded."""

import concurrent.futures
import multiprocessing
import os
import shutil

import cv2
import motion_clips
import numpy as np
import pytest

from mtssl_tf import motion
from mtssl_tf.motion import cache
from mtssl_tf.motion import clips

CONFIG = motion.MotionConfig(window_frames=3)
SIZE_PX = 48


@pytest.fixture
def clip(tmp_path):
    frames, _ = motion_clips.panning_clip(num_frames=6, size=(48, 64))
    motion_clips.save_frames(tmp_path / "videos" / "a", frames)
    return clips.list_clips(tmp_path / "videos")[0]


def labelled(clip, tmp_path, **options):
    config = options.pop("config", CONFIG)
    side = options.pop("short_side_px", SIZE_PX)
    return cache.labelled_clip(
        clip, config, tmp_path / "cache", side, **options
    )


def entries(tmp_path):
    return sorted(p.parent.name for p in tmp_path.glob("cache/*/entry.json"))


def test_stores_frames_and_their_masks(clip, tmp_path):
    pairs = labelled(clip, tmp_path)
    assert len(pairs) == 3  # 6 frames, of which the last 3 have no window
    frames, _ = motion_clips.panning_clip(num_frames=6, size=(48, 64))
    frame = cv2.imread(str(pairs[1][0]))[..., ::-1]
    assert np.abs(frame.astype(float) - frames[1]).mean() < 8
    mask = cv2.imread(str(pairs[1][1]), cv2.IMREAD_GRAYSCALE)
    assert set(np.unique(mask)) <= {0, 255}
    np.testing.assert_array_equal(
        mask > 0, motion.moving_mask(frames[1:], CONFIG).moving
    )


def test_second_call_computes_nothing(clip, tmp_path):
    first = labelled(clip, tmp_path)
    written = first[0][0].stat().st_mtime_ns
    assert labelled(clip, tmp_path) == first
    assert first[0][0].stat().st_mtime_ns == written


def test_settings_and_sizes_have_their_own_entry(clip, tmp_path):
    labelled(clip, tmp_path)
    labelled(clip, tmp_path, config=motion.MotionConfig(window_frames=4))
    labelled(clip, tmp_path, short_side_px=40)
    assert len(labelled(clip, tmp_path, every=2)) == 2
    assert len(entries(tmp_path)) == 4


def test_changed_clip_is_computed_anew(clip, tmp_path):
    before = labelled(clip, tmp_path)
    frames, _ = motion_clips.panning_clip(num_frames=7, size=(48, 64))
    motion_clips.save_frames(clip.path, frames[::-1])
    after = labelled(clip, tmp_path)
    assert len(after) == 4
    assert after[0][0].parent != before[0][0].parent


def test_oldest_use_goes_first(clip, tmp_path):
    labelled(clip, tmp_path)
    (first,) = entries(tmp_path)
    labelled(clip, tmp_path, short_side_px=40)
    (second,) = set(entries(tmp_path)) - {first}
    for age, name in enumerate((first, second)):  # the second is the older
        used = 2_000_000_000 - 1000 * age
        os.utime(tmp_path / "cache" / name / "entry.json", (used, used))
    sizes = sum(
        file.stat().st_size
        for name in (first, second)
        for file in (tmp_path / "cache" / name).iterdir()
    )
    labelled(clip, tmp_path, short_side_px=36, max_bytes=sizes)
    assert first in entries(tmp_path)
    assert second not in entries(tmp_path)


def test_entry_beyond_the_bound_is_still_served(clip, tmp_path):
    labelled(clip, tmp_path)
    pairs = labelled(clip, tmp_path, short_side_px=40, max_bytes=1)
    assert all(path.is_file() for pair in pairs for path in pair)
    assert len(entries(tmp_path)) == 1


def test_half_an_entry_is_computed_again(clip, tmp_path):
    pairs = labelled(clip, tmp_path)
    (pairs[0][0].parent / "entry.json").unlink()
    pairs[0][1].unlink()
    assert labelled(clip, tmp_path) == pairs
    assert pairs[0][1].is_file()


def test_killed_workers_leave_nothing_for_long(clip, tmp_path):
    orphan = tmp_path / "cache" / "x.partial"
    orphan.mkdir(parents=True)
    os.utime(orphan, (0, 0))
    labelled(clip, tmp_path)
    assert not orphan.exists()


def test_unknowable_clip_is_empty_and_remembered(tmp_path):
    motion_clips.save_frames(
        tmp_path / "v" / "a", np.zeros((5, 48, 64, 3), np.uint8)
    )
    clip = clips.list_clips(tmp_path / "v")[0]
    assert labelled(clip, tmp_path) == []
    assert len(entries(tmp_path)) == 1


def test_threads_compute_one_entry(clip, tmp_path):
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: labelled(clip, tmp_path), range(8)))
    assert all(result == results[0] for result in results)
    assert len(entries(tmp_path)) == 1
    assert not list(tmp_path.glob("cache/*.partial"))


def test_processes_compute_one_entry(clip, tmp_path):
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(2, context) as pool:
        futures = [
            pool.submit(
                cache.labelled_clip, clip, CONFIG, tmp_path / "cache", SIZE_PX
            )
            for _ in range(4)
        ]
        results = [future.result() for future in futures]
    assert all(result == results[0] for result in results)
    assert len(entries(tmp_path)) == 1


def test_failure_leaves_no_entry(clip, tmp_path, monkeypatch):
    def full_disk(*_):
        raise OSError("disk full")

    monkeypatch.setattr(cache, "_save_pair", full_disk)
    with pytest.raises(OSError, match="disk full"):
        labelled(clip, tmp_path)
    assert not entries(tmp_path)
    assert not list(tmp_path.glob("cache/*.partial"))


def test_settings_are_checked(clip, tmp_path):
    with pytest.raises(ValueError, match="every must be at least 1. Got 0"):
        labelled(clip, tmp_path, every=0)


def test_vanished_clip_is_an_error(clip, tmp_path):
    shutil.rmtree(clip.path)
    with pytest.raises(FileNotFoundError, match="videos"):
        labelled(clip, tmp_path)
