"""Clips of every kind and state are found and read without surprises."""

import os

import cv2
import motion_clips
import numpy as np
import pytest

from mtssl_tf.motion import clips


@pytest.fixture
def frames():
    return motion_clips.panning_clip(num_frames=6, size=(48, 64))[0]


def only_clip(folder):
    (clip,) = clips.list_clips(folder)
    return clip


def test_lists_files_and_folders_recursively(tmp_path, frames):
    motion_clips.save_frames(tmp_path / "day" / "walk", frames)
    motion_clips.save_video(tmp_path / "day" / "bird.avi", frames)
    motion_clips.save_video(tmp_path / "walk.AVI", frames)
    (tmp_path / "notes.txt").write_text("no clip")
    motion_clips.save_frames(tmp_path / ".hidden", frames)
    names = [clip.name for clip in clips.list_clips(tmp_path)]
    assert names == ["day/bird", "day/walk", "walk"]


def test_namesakes_keep_their_suffix(tmp_path, frames):
    motion_clips.save_frames(tmp_path / "a", frames)
    motion_clips.save_video(tmp_path / "a.avi", frames)
    motion_clips.save_video(tmp_path / "a.mkv", frames)
    assert [c.name for c in clips.list_clips(tmp_path)] == [
        "a",
        "a.avi",
        "a.mkv",
    ]


def test_a_folder_in_one_of_its_name_is_another_clip(tmp_path, frames):
    motion_clips.save_frames(tmp_path / "v", frames)
    motion_clips.save_frames(tmp_path / "v" / "v", frames)
    names = [clip.name for clip in clips.list_clips(tmp_path / "v")]
    assert names == ["v", "v (2)"]


def test_two_kinds_of_one_frame_are_no_film(tmp_path, frames):
    """The kind: several of one name, of which one wins or all count."""
    motion_clips.save_frames(tmp_path, frames)
    cv2.imwrite(str(tmp_path / "00003.jpg"), frames[3])
    reader = clips.read_frames(only_clip(tmp_path))
    assert not list(reader)
    assert "of one frame: 00003.jpg, 00003.png" in reader.problem


def test_linked_folders_count_once(tmp_path, frames):
    motion_clips.save_frames(tmp_path / "a", frames)
    os.symlink(tmp_path, tmp_path / "a" / "loop")
    assert len(clips.list_clips(tmp_path)) == 1


def test_folder_itself_can_be_the_clip(tmp_path, frames):
    motion_clips.save_frames(tmp_path / "clip", frames)
    assert only_clip(tmp_path / "clip").name == "clip"


def test_frames_come_in_the_order_of_their_numbers(tmp_path, frames):
    for number in (9, 10, 8):
        picture = np.full((40, 40, 3), number * 10, np.uint8)
        cv2.imwrite(str(tmp_path / f"f_{number}.png"), picture)
    levels = [f[0, 0, 0] for f in clips.read_frames(only_clip(tmp_path))]
    assert levels == [80, 90, 100]


def test_frames_are_rgb_and_whole(tmp_path, frames):
    motion_clips.save_frames(tmp_path, frames)
    reader = clips.read_frames(only_clip(tmp_path))
    np.testing.assert_array_equal(np.stack(list(reader)), frames)
    assert reader.problem == ""
    assert reader.source_size == (48, 64)


def test_container_gives_the_same_frames(tmp_path, frames):
    motion_clips.save_video(tmp_path / "a.avi", frames)
    reader = clips.read_frames(only_clip(tmp_path))
    difference = np.stack(list(reader)).astype(float) - frames
    assert np.abs(difference).mean() < 8  # JPEG's loss
    assert reader.problem == ""


def test_short_side_shrinks_and_never_enlarges(tmp_path, frames):
    motion_clips.save_frames(tmp_path, frames)
    clip = only_clip(tmp_path)
    assert next(clips.read_frames(clip, 36)).shape == (36, 48, 3)
    assert next(clips.read_frames(clip, 480)).shape == (48, 64, 3)


def test_reading_streams(tmp_path, frames):
    """Frames behind the one that is read may not even exist yet."""
    motion_clips.save_frames(tmp_path, frames)
    reader = clips.read_frames(only_clip(tmp_path))
    next(reader)
    (tmp_path / "00001.png").unlink()
    with pytest.raises(StopIteration):
        next(reader)
    assert "00001.png" in reader.problem


def test_broken_frame_ends_the_clip(tmp_path, frames):
    motion_clips.save_frames(tmp_path, frames)
    (tmp_path / "00004.png").write_bytes(b"not a picture")
    reader = clips.read_frames(only_clip(tmp_path))
    assert len(list(reader)) == 4
    assert "00004.png" in reader.problem


def test_changed_size_ends_the_clip(tmp_path, frames):
    motion_clips.save_frames(tmp_path, frames[:3])
    motion_clips.save_frames(tmp_path, frames[3:, :40], start=3)
    reader = clips.read_frames(only_clip(tmp_path))
    assert len(list(reader)) == 3
    assert "frame 3 is 64x40, not 64x48" in reader.problem


def test_broken_tail_of_a_container(tmp_path):
    frames, _ = motion_clips.panning_clip(num_frames=30)
    path = tmp_path / "a.avi"
    motion_clips.save_video(path, frames)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    reader = clips.read_frames(only_clip(tmp_path))
    num_read = len(list(reader))
    assert 5 < num_read < 29
    assert f"only {num_read} of 30 frames can be decoded" in reader.problem


def test_file_that_is_no_video(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"no video at all" * 100)
    reader = clips.read_frames(only_clip(tmp_path))
    assert list(reader) == []
    assert "OpenCV says: could not open" in reader.problem
    assert "begins with b'no video at all" in reader.problem


def test_a_container_that_is_broken_in_the_middle(tmp_path):
    """Half a clip was used without a word."""
    frames, _ = motion_clips.panning_clip(num_frames=30)
    path = tmp_path / "a.avi"
    motion_clips.save_video(path, frames)
    contents = bytearray(path.read_bytes())
    third = len(contents) // 3
    contents[third : 2 * third] = bytes(third)
    path.write_bytes(contents)
    reader = clips.read_frames(only_clip(tmp_path))
    num_read = len(list(reader))
    assert 5 < num_read < 29
    assert f"only {num_read} of 30 frames can be decoded" in reader.problem


def test_empty_container(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"")
    reader = clips.read_frames(only_clip(tmp_path))
    assert list(reader) == []
    assert "the file is empty" in reader.problem


def test_a_frame_of_gigabytes_is_not_decoded(tmp_path, frames, monkeypatch):
    monkeypatch.setattr(clips.picture, "MAX_PIXELS", 48 * 64 - 1)
    motion_clips.save_frames(tmp_path / "a", frames)
    motion_clips.save_video(tmp_path / "b.avi", frames)
    for clip in clips.list_clips(tmp_path):
        reader = clips.read_frames(clip)
        assert list(reader) == []
        assert "64x48 pixels" in reader.problem


def test_names_of_any_bytes_and_signs(tmp_path, frames):
    """OpenCV ends the process at a `str` that is no UTF-8."""
    plain = tmp_path / "a.avi"
    motion_clips.save_video(plain, frames)
    for name in (b"\xff.avi", b"a[1].avi", b"a%02d.avi", b"a:b.avi"):
        os.link(plain, os.path.join(os.fsencode(tmp_path), name))
    motion_clips.save_frames(tmp_path / "b", frames)
    stray = os.path.join(os.fsencode(tmp_path), b"\xfe")
    os.rename(tmp_path / "b", stray)
    os.rename(
        os.path.join(stray, b"00003.png"),
        os.path.join(stray, b"00003\xff.png"),
    )
    found = clips.list_clips(tmp_path)
    names = ["a", "a%02d", "a:b", "a[1]", "\\xfe", "\\xff"]
    assert sorted(clip.name for clip in found) == sorted(names)
    for clip in found:
        reader = clips.read_frames(clip)
        assert len(list(reader)) == 6, clip.name
        assert reader.problem == ""


def test_a_name_that_looks_like_a_protocol(tmp_path, frames, monkeypatch):
    motion_clips.save_video(tmp_path / "concat:a.avi", frames)
    monkeypatch.chdir(tmp_path)
    assert len(list(clips.read_frames(only_clip(".")))) == 6


def test_pipes_and_hidden_files_are_no_clips_and_no_frames(tmp_path, frames):
    motion_clips.save_frames(tmp_path, frames)
    os.mkfifo(tmp_path / "pipe.mp4")
    os.mkfifo(tmp_path / "00001.jpg")
    (tmp_path / "._00000.png").write_bytes(b"AppleDouble")
    (tmp_path / "._a.mp4").write_bytes(b"AppleDouble")
    assert len(list(clips.read_frames(only_clip(tmp_path)))) == 6


def test_frames_are_ordered_by_every_number_in_their_names(tmp_path):
    for number in (9, 10, 8):
        picture = np.full((40, 40, 3), number * 10, np.uint8)
        cv2.imwrite(str(tmp_path / f"f{number}_v2.png"), picture)
    levels = [f[0, 0, 0] for f in clips.read_frames(only_clip(tmp_path))]
    assert levels == [80, 90, 100]


def test_audio_alone(tmp_path):
    """An AVI container that holds one second of silence and no picture."""
    (tmp_path / "a.avi").write_bytes(silent_avi())
    reader = clips.read_frames(only_clip(tmp_path))
    assert list(reader) == []
    assert reader.problem


def silent_avi() -> bytes:
    """Returns a RIFF AVI file with a PCM audio stream only."""

    def chunk(name: bytes, body: bytes) -> bytes:
        padding = b"\0" * (len(body) % 2)
        return name + len(body).to_bytes(4, "little") + body + padding

    def ints(*values: int) -> bytes:
        return b"".join(value.to_bytes(4, "little") for value in values)

    def words(*values: int) -> bytes:
        return b"".join(value.to_bytes(2, "little") for value in values)

    rate = 8000
    header = ints(0, rate, 0, 16, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0)
    stream = b"auds" + ints(0, 0, 0, 0, 1, rate, 0, rate, 0, 0, 1, 0, 0)
    wave = words(1, 1) + ints(rate, rate) + words(1, 8)
    body = b"AVI " + chunk(
        b"LIST",
        b"hdrl"
        + chunk(b"avih", header)
        + chunk(
            b"LIST", b"strl" + chunk(b"strh", stream) + chunk(b"strf", wave)
        ),
    )
    body += chunk(b"LIST", b"movi" + chunk(b"00wb", b"\x80" * rate))
    return chunk(b"RIFF", body)


def test_missing_and_empty_folders_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        clips.list_clips(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="no clip.*mp4"):
        clips.list_clips(tmp_path)
