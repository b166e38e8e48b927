"""Clips that move, stand still, and can't be read."""

import motion_clips
import numpy as np
import pytest

from mtssl_tf.checkup import clip_check
from mtssl_tf.motion import clips as clips_lib


def test_difference_is_as_by_hand():
    frames = [np.full((4, 4, 3), value, np.uint8) for value in (9, 12, 4)]
    assert clip_check.largest_difference(frames) == pytest.approx(5)


def test_tells_moving_still_and_broken_apart(tmp_path):
    frames, _ = motion_clips.panning_clip(num_frames=6, size=(48, 64))
    motion_clips.save_frames(tmp_path / "pan", frames)
    motion_clips.save_frames(tmp_path / "still", [frames[0]] * 6)
    (tmp_path / "text.mp4").write_text("no video")
    check = clip_check.check_clips(clips_lib.list_clips(tmp_path))
    assert (check.total, check.still) == (3, ["still"])
    assert set(check.differences) == {"pan", "still"}
    ((name, reason),) = check.unusable
    assert name == "text" and "no video" in reason
