"""The cache computes once, is never stale and stays bounded.

The kind of fault: a cache that throws out what is needed next. Clips are used
in turns again and again, so what was used longest ago comes next.
"""

import concurrent.futures
import multiprocessing
import os
import shutil

import cv2
import motion_clips
import numpy as np
import pytest

from mtssl_tf import motion
from mtssl_tf.motion import cache as cache_lib
from mtssl_tf.motion import clips
from mtssl_tf.motion import labelled_frame
from mtssl_tf.motion import labeller as labeller_lib
from mtssl_tf.motion import parts

CONFIG = motion.MotionConfig(window_frames=3)


@pytest.fixture
def clip(tmp_path):
    frames, _ = motion_clips.panning_clip(num_frames=6, size=(48, 64))
    motion_clips.save_frames(tmp_path / "videos" / "a", frames)
    return clips.list_clips(tmp_path / "videos")[0]


def open_cache(tmp_path, config=CONFIG, short_side_px=48, **options):
    return cache_lib.LabelCache(
        tmp_path / "cache", config, short_side_px, **options
    )


def labelled(clip, tmp_path, **options):
    return label_with(open_cache(tmp_path, **options), clip)


def label_with(cache, clip, part=None):
    indexed = parts.IndexedClip(clip)
    part = part or indexed.parts(cache.config.window_frames)[0]
    return labeller_lib.Labeller(cache).labelled(indexed, part)


def label_in_process(clip, tmp_path):
    return labelled(clip, tmp_path)


def entries(tmp_path):
    return sorted(p.parent.name for p in tmp_path.glob("cache/*/entry.json"))


def test_names_of_any_bytes_are_labelled(clip, tmp_path):
    folder = os.fsencode(clip.path)
    os.rename(
        os.path.join(folder, b"00003.png"),
        os.path.join(folder, b"00003\xff.png"),
    )
    os.rename(folder, os.path.join(os.path.dirname(folder), b"\xfe\n"))
    (stray,) = clips.list_clips(tmp_path / "videos")
    entry = labelled(stray, tmp_path)
    assert len(entry.names) == 3
    # What lies in the cache is found again.
    assert labelled(stray, tmp_path).folder == entry.folder


def test_stores_frames_and_their_masks(clip, tmp_path):
    entry = labelled(clip, tmp_path)
    assert len(entry.names) == 3  # 6 frames, the last 3 have no window
    frames, _ = motion_clips.panning_clip(num_frames=6, size=(48, 64))
    frame_file, mask_file = entry.files(1)
    frame = cv2.imread(str(frame_file))[..., ::-1]
    assert np.abs(frame.astype(float) - frames[1]).mean() < 8
    mask = cv2.imread(str(mask_file), cv2.IMREAD_GRAYSCALE)
    assert set(np.unique(mask)) <= {0, 255}
    np.testing.assert_array_equal(
        mask > 0, motion.moving_mask(frames[1:], CONFIG).moving
    )


def test_second_call_computes_nothing(clip, tmp_path):
    first = labelled(clip, tmp_path)
    written = first.files(0)[0].stat().st_mtime_ns
    assert labelled(clip, tmp_path) == first
    assert first.files(0)[0].stat().st_mtime_ns == written


def test_settings_and_sizes_have_their_own_entry(clip, tmp_path):
    labelled(clip, tmp_path)
    labelled(clip, tmp_path, config=motion.MotionConfig(window_frames=4))
    labelled(clip, tmp_path, short_side_px=40)
    label_with(open_cache(tmp_path), clip, parts.Part(1, 2))
    assert len(entries(tmp_path)) == 4


def _pooled(tmp_path):
    return sorted(tmp_path.glob("cache/frames/*/*.jpg"))


def test_frames_lie_once_for_all_settings(clip, tmp_path):
    """Kind: a copy of what does not depend on what the copies differ in."""
    first = labelled(clip, tmp_path)
    other = motion.MotionConfig(window_frames=3, method="idt")
    second = labelled(clip, tmp_path, config=other)
    assert first.folder != second.folder
    for number, name in enumerate(first.names):
        frame, _ = first.files(number)
        again, _ = second.files(second.names.index(name))
        assert os.path.samefile(frame, again)
    assert first.shared_bytes == sum(
        first.files(number)[0].stat().st_size for number in range(3)
    )
    # Another size has other frames.
    labelled(clip, tmp_path, short_side_px=40)
    assert len({path.parent for path in _pooled(tmp_path)}) == 2


def test_shared_frames_count_once_and_stay_for_who_needs_them(clip, tmp_path):
    first = labelled(clip, tmp_path)
    other = motion.MotionConfig(window_frames=3, method="idt")
    second = labelled(clip, tmp_path, config=other)
    own = [each.num_bytes - each.shared_bytes for each in (first, second)]
    assert first.shared_bytes == second.shared_bytes
    cache = open_cache(tmp_path)
    assert cache._evict() == sum(own) + first.shared_bytes
    # One goes, and takes no frame along that the other needs.
    cache.max_bytes = 1
    with cache.reserve(second.folder.name):
        assert cache._evict() == own[1] + second.shared_bytes
    assert entries(tmp_path) == [second.folder.name]
    assert len(_pooled(tmp_path)) == 3
    # With the last entry its frames go.
    assert cache._evict() == 0
    assert not _pooled(tmp_path) and not entries(tmp_path)


def test_a_damaged_frame_is_made_anew(clip, tmp_path):
    entry = labelled(clip, tmp_path)
    entry.files(0)[0].write_bytes(b"no picture")
    cache = open_cache(tmp_path)
    cache.drop(entry.folder.name)
    entry = labelled(clip, tmp_path)
    assert labelled_frame.load(entry.files(0)) is not None


def test_a_disk_without_hard_links_has_copies(clip, tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError("no links here")

    monkeypatch.setattr(os, "link", refuse)
    first = labelled(clip, tmp_path)
    other = motion.MotionConfig(window_frames=3, method="idt")
    second = labelled(clip, tmp_path, config=other)
    assert first.shared_bytes == second.shared_bytes == 0
    assert open_cache(tmp_path)._evict() == first.num_bytes + second.num_bytes
    assert labelled_frame.load(second.files(0)) is not None


def test_changed_clip_is_computed_anew(clip, tmp_path):
    before = labelled(clip, tmp_path)
    frames, _ = motion_clips.panning_clip(num_frames=7, size=(48, 64))
    motion_clips.save_frames(clip.path, frames[::-1])
    after = labelled(clip, tmp_path)
    assert len(after.names) == 4
    assert after.folder != before.folder


@pytest.fixture
def three_clips(tmp_path):
    frames, _ = motion_clips.panning_clip(num_frames=6, size=(48, 64))
    for name in "abc":
        motion_clips.save_frames(tmp_path / "videos" / name, frames)
    return clips.list_clips(tmp_path / "videos")


def _use(caplog, tmp_path, clips_in_turn, share, hold=()):
    """Uses clips in turn with room for `share` of them; returns how often
    one had to be made."""
    size = labelled(clips_in_turn[0], tmp_path / "one").num_bytes
    bound = int(share * size * len(clips_in_turn))
    cache = open_cache(tmp_path, max_bytes=bound)
    labeller = labeller_lib.Labeller(cache)
    indexed = [parts.IndexedClip(clip) for clip in clips_in_turn]
    made = 0
    for index in hold:
        part = indexed[index].parts(3)[0]
        cache.hold(cache.name_of(indexed[index], part))
    for _ in range(4):
        for clip in indexed:
            part = clip.parts(3)[0]
            cache.count_parts(clip)
            is_there = cache.find(cache.name_of(clip, part)) is not None
            made += not is_there
            entry = labeller.labelled(clip, part)
            assert all(file.is_file() for file in entry.files(0))
    return made, cache, caplog.text.count("raise data.cache_gib")


def test_what_fits_is_kept_in_cyclic_use(caplog, tmp_path, three_clips):
    made, _, warnings = _use(caplog, tmp_path, three_clips, 1.1)
    assert (made, warnings) == (3, 0)


def test_a_little_too_small_a_cache_keeps_most(caplog, tmp_path, three_clips):
    """With the longest unused gone first, all 12 uses would be made."""
    made, _, warnings = _use(caplog, tmp_path, three_clips, 0.8)
    assert made <= 3 + 2 * 3
    assert warnings == 1
    assert "3 clips used so far" in caplog.text or "clips used" in caplog.text


def test_what_is_needed_soon_is_kept(caplog, tmp_path, three_clips):
    _, cache, _ = _use(caplog, tmp_path, three_clips, 0.4, hold=[1])
    indexed = parts.IndexedClip(three_clips[1])
    assert cache.find(cache.name_of(indexed, indexed.parts(3)[0])) is not None


def test_unused_entries_of_others_go_first(clip, three_clips, tmp_path):
    old = labelled(clip, tmp_path, short_side_px=40)
    index = old.folder / "entry.json"
    os.utime(index, (0, 0))
    size = labelled(three_clips[0], tmp_path / "one").num_bytes
    cache = open_cache(tmp_path, max_bytes=int(2.9 * size))
    for each in three_clips[:2]:
        label_with(cache, each)
    label_with(cache, three_clips[0])
    label_with(cache, three_clips[2])
    assert not index.exists()


def test_a_part_beyond_the_bound_is_served_and_said_once(
    caplog, clip, tmp_path
):
    cache = open_cache(tmp_path, max_bytes=1)
    for side_part in (parts.Part(0, 3), parts.Part(1, 2), parts.Part(0, 3)):
        entry = label_with(cache, clip, side_part)
        assert all(file.is_file() for file in entry.files(0))
    assert len(entries(tmp_path)) == 1
    assert caplog.text.count("raise data.cache_gib") == 1


def test_half_an_entry_is_computed_again(clip, tmp_path):
    entry = labelled(clip, tmp_path)
    (entry.folder / "entry.json").unlink()
    entry.files(0)[1].unlink()
    assert labelled(clip, tmp_path) == entry
    assert entry.files(0)[1].is_file()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"names": 3}'])
def test_a_damaged_entry_is_computed_again(clip, tmp_path, text):
    entry = labelled(clip, tmp_path)
    (entry.folder / "entry.json").write_text(text)
    assert labelled(clip, tmp_path) == entry


def test_killed_workers_leave_nothing_for_long(clip, tmp_path):
    orphan = tmp_path / "cache" / "x.partial"
    orphan.mkdir(parents=True)
    os.utime(orphan, (0, 0))
    labelled(clip, tmp_path, max_bytes=1)
    assert not orphan.exists()


def test_unknowable_part_is_empty_and_remembered(tmp_path):
    motion_clips.save_frames(
        tmp_path / "v" / "a", np.zeros((5, 48, 64, 3), np.uint8)
    )
    clip = clips.list_clips(tmp_path / "v")[0]
    assert labelled(clip, tmp_path).names == ()
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
            pool.submit(label_in_process, clip, tmp_path) for _ in range(4)
        ]
        results = [future.result() for future in futures]
    assert all(result == results[0] for result in results)
    assert len(entries(tmp_path)) == 1


def test_failure_leaves_no_entry_and_names_the_setting(
    clip, tmp_path, monkeypatch
):
    def full_disk(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(labelled_frame, "save_frame", full_disk)
    with pytest.raises(OSError, match="No space left.*data.cache_dir"):
        labelled(clip, tmp_path)
    assert not entries(tmp_path)
    assert not list(tmp_path.glob("cache/*.partial"))


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(OSError, match=f"{tmp_path}/cache.*data.cache_dir"):
        open_cache(tmp_path)


def test_settings_are_checked(tmp_path):
    with pytest.raises(ValueError, match="max_bytes must be at least 1. Got 0"):
        open_cache(tmp_path, max_bytes=0)


def test_vanished_clip_is_an_error(clip, tmp_path):
    shutil.rmtree(clip.path)
    with pytest.raises(OSError, match="videos"):
        labelled(clip, tmp_path)
