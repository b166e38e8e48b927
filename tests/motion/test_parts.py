"""Any frame of a clip is reached exactly, however its file is made."""

import cv2
import motion_clips
import numpy as np
import pytest

from mtssl_tf.files import picture
from mtssl_tf.motion import clips
from mtssl_tf.motion import parts

NUM_FRAMES = 120


def _pictures():
    frames, _ = motion_clips.panning_clip(NUM_FRAMES, size=(48, 64))
    return frames


def _save(path, codec):
    writer = cv2.VideoWriter(
        str(path), cv2.VideoWriter.fourcc(*codec), 25, (64, 48)
    )
    for frame in _pictures():
        writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
    writer.release()


def _save_uneven(path, times):
    """Writes packets of an even video anew, to be shown at `times`."""
    even = path.with_name("even.mp4")
    _save(even, "mp4v")
    packets = cv2.VideoCapture(str(even))
    packets.set(cv2.CAP_PROP_FORMAT, -1)
    writer = cv2.VideoWriter(
        str(path),
        cv2.CAP_FFMPEG,
        cv2.VideoWriter.fourcc(*"mp4v"),
        25,
        (64, 48),
        [cv2.VIDEOWRITER_PROP_RAW_VIDEO, 1],
    )
    for time in times:
        _, packet = packets.read()
        is_key = packets.get(cv2.CAP_PROP_LRF_HAS_KEY_FRAME)
        writer.set(cv2.VIDEOWRITER_PROP_KEY_FLAG, is_key)
        writer.set(cv2.VIDEOWRITER_PROP_PTS, time)
        writer.write(packet)
    writer.release()
    even.unlink()


UNEVEN = np.cumsum([1] * 40 + [7] * 40 + [2] * 40)

MAKERS = {
    "motion_jpeg.avi": lambda path: _save(path, "MJPG"),
    "keyframes.mp4": lambda path: _save(path, "mp4v"),
    "keyframes.mkv": lambda path: _save(path, "mp4v"),
    "uneven.mkv": lambda path: _save_uneven(path, UNEVEN),
    "folder": lambda path: motion_clips.save_frames(path, _pictures(), 3),
}


@pytest.fixture(scope="module")
def indexed(tmp_path_factory):
    root = tmp_path_factory.mktemp("films")
    made = {}
    for name, make in MAKERS.items():
        make(root / name)
        made[name] = parts.IndexedClip(clips.Clip(name, root / name))
    return made


@pytest.mark.parametrize("name", MAKERS)
def test_reading_starts_at_the_frame_asked_for(indexed, name):
    clip = indexed[name]
    whole = list(clips.read_frames(clip.clip))
    assert clip.num_frames == len(whole) == NUM_FRAMES
    for first in (0, 1, 11, 12, 13, 59, 90, NUM_FRAMES - 2):
        reader = clip.read_frames(first, None)
        for frame, expected in zip(reader, whole[first : first + 4]):
            np.testing.assert_array_equal(frame, expected)
        assert len(list(clip.read_frames(first, None))) == NUM_FRAMES - first


def test_opencv_alone_seeks_elsewhere(indexed):
    """If it ever seeks right, the index of packets can go."""
    path = str(indexed["uneven.mkv"].clip.path)
    capture = cv2.VideoCapture(path)
    assert capture.get(cv2.CAP_PROP_FRAME_COUNT) != NUM_FRAMES
    whole = list(clips.read_frames(indexed["uneven.mkv"].clip))
    wrong = []
    for number in range(0, NUM_FRAMES, 10):
        capture.set(cv2.CAP_PROP_POS_FRAMES, number)
        is_read, frame = capture.read()
        rgb = cv2.cvtColor(frame, cv2.COLOR_BGR2RGB) if is_read else None
        if not np.array_equal(rgb, whole[number]):
            wrong.append(number)
    assert wrong


def test_frames_without_times_are_counted(indexed, monkeypatch):
    times = np.zeros(NUM_FRAMES)
    monkeypatch.setattr(parts, "_packet_times", lambda _: (times, ""))
    clip = parts.IndexedClip(indexed["keyframes.mp4"].clip)
    whole = list(clips.read_frames(clip.clip))
    np.testing.assert_array_equal(next(clip.read_frames(77, None)), whole[77])


def test_parts_cover_what_can_have_a_mask(indexed):
    found = indexed["folder"].parts(window_frames=10)
    assert [part.first for part in found] == [0, 27, 55, 82]
    assert sum(part.num_frames for part in found) == NUM_FRAMES - 10


def test_a_video_that_breaks_is_read_up_to_there_and_behind_it(tmp_path):
    """A broken place costs the part that it is in, not the rest."""
    path = tmp_path / "broken.avi"
    _save(path, "MJPG")
    content = bytearray(path.read_bytes())
    movie = content.index(b"movi")
    starts = [
        n for n in range(movie, len(content)) if content[n : n + 4] == b"00dc"
    ]
    content[starts[70] + 8 : starts[71]] = bytes(starts[71] - starts[70] - 8)
    path.write_bytes(content)
    clip = parts.IndexedClip(clips.Clip("broken", path))
    reader = clip.read_frames(60, None)
    assert len(list(reader)) == 10
    assert "frame 70 of 120 can't be decoded" in reader.problem
    assert len(list(clip.read_frames(80, None))) == 40


def test_what_is_no_video_has_an_empty_part_and_a_reason(tmp_path):
    path = tmp_path / "no.mp4"
    path.write_bytes(b"<html>")
    clip = parts.IndexedClip(clips.Clip("no", path))
    assert clip.parts(10) == (parts.Part(0, 0),)
    reader = clip.read_frames(0, None)
    assert list(reader) == []
    assert "not a video" in reader.problem


def test_too_large_frames_are_not_decoded(indexed, monkeypatch):
    monkeypatch.setattr(picture, "MAX_PIXELS", 64 * 48 - 1)
    clip = parts.IndexedClip(indexed["keyframes.mp4"].clip)
    reader = clip.read_frames(0, None)
    assert list(reader) == []
    assert "64x48" in reader.problem
