"""Masks of clips whose motion is known, and of clips that can't tell."""

import weakref

import motion_clips
import numpy as np
import pytest

from mtssl_tf import motion
from mtssl_tf.motion import config as motion_config


@pytest.mark.parametrize("method, least", [("refined", 0.75), ("idt", 0.3)])
def test_finds_object_under_moving_camera(method, least):
    frames, truth = motion_clips.panning_clip()
    mask = motion.moving_mask(frames, motion.MotionConfig(method=method))
    assert mask.is_known and mask.reason == ""
    assert motion_clips.intersection_over_union(mask.moving, truth[0]) > least
    assert mask.statistics["share_moving"] == mask.moving.mean()


@pytest.mark.parametrize("method", motion_config.METHODS)
def test_camera_motion_alone_is_no_motion(method):
    frames, _ = motion_clips.panning_clip(object_px=2.0)
    world_only = np.stack([frame[:, 90:] for frame in frames])
    mask = motion.moving_mask(world_only, motion.MotionConfig(method=method))
    assert mask.is_known
    assert mask.moving.mean() < 0.02


@pytest.mark.parametrize("method", motion_config.METHODS)
def test_still_clip_has_no_motion(method):
    frames = np.repeat(motion_clips.texture(96, 128, seed=3)[None], 12, axis=0)
    mask = motion.moving_mask(frames, motion.MotionConfig(method=method))
    assert mask.is_known
    assert not mask.moving.any()


@pytest.mark.parametrize("method", motion_config.METHODS)
def test_mirrored_clip_gives_mirrored_mask(method):
    frames, _ = motion_clips.panning_clip(num_frames=11)
    config = motion.MotionConfig(method=method)
    mask = motion.moving_mask(frames, config).moving
    mirrored = motion.moving_mask(frames[:, :, ::-1].copy(), config).moving
    assert motion_clips.intersection_over_union(mask, mirrored[:, ::-1]) > 0.8


@pytest.mark.parametrize("method", motion_config.METHODS)
def test_same_frames_same_mask_whatever_came_before(method):
    frames, _ = motion_clips.panning_clip(num_frames=13)
    config = motion.MotionConfig(method=method)
    streamed = {i: m.moving for i, _, m in motion.iterate_masks(frames, config)}
    alone = motion.moving_mask(frames[2:], config).moving
    np.testing.assert_array_equal(streamed[2], alone)


def _black(frames):
    frames[4] = 0


def _cut(frames):
    frames[5:] = motion_clips.texture(*frames.shape[1:3], seed=9)


def _flash(frames):
    frames[3] = np.minimum(frames[3].astype(int) + 120, 255)


def _blank(frames):
    frames[:] = 128


def _noise(frames):
    frames[:] = np.random.default_rng(0).integers(0, 255, frames.shape)


@pytest.mark.parametrize("method", motion_config.METHODS)
@pytest.mark.parametrize(
    "spoil, reason",
    [
        (_black, "black frame"),
        (_cut, "cut"),
        (_flash, "flash"),
        (_blank, "no texture"),
        (_noise, ""),
    ],
)
def test_unknowable_window_says_why(method, spoil, reason):
    frames, _ = motion_clips.panning_clip()
    spoil(frames)
    mask = motion.moving_mask(frames, motion.MotionConfig(method=method))
    assert not mask.is_known
    assert not mask.moving.any()
    assert reason in mask.reason and mask.reason


def test_masks_come_back_after_a_cut():
    frames, _ = motion_clips.panning_clip(num_frames=18)
    frames[:5] = motion_clips.texture(*frames.shape[1:3], seed=9)
    masks = [
        mask
        for _, _, mask in motion.iterate_masks(frames, motion.MotionConfig())
    ]
    assert [mask.is_known for mask in masks] == (
        [False] * 5 + [True] * 3 + [False] * 10
    )


@pytest.mark.parametrize("method", motion_config.METHODS)
def test_long_clip_is_held_one_window_at_a_time(method):
    world = motion_clips.texture(48, 64, seed=3)
    frames = []

    def film():
        for index in range(300):
            frame = np.roll(world, index, axis=1)
            frames.append(weakref.ref(frame))
            yield frame

    num_held, num_known = 0, 0
    for _, _, mask in motion.iterate_masks(
        film(), motion.MotionConfig(method=method)
    ):
        # A frame and its flow to the next are held and let go together.
        alive = sum(frame() is not None for frame in frames)
        num_held = max(num_held, alive)
        num_known += mask.is_known
    assert num_known == 290
    assert num_held == 11  # the window's ten pairs


@pytest.mark.parametrize("num_frames", [1, 2, 10])
def test_too_few_frames(num_frames):
    frames, _ = motion_clips.panning_clip(num_frames=num_frames)
    masks = [
        mask
        for _, _, mask in motion.iterate_masks(frames, motion.MotionConfig())
    ]
    assert len(masks) == num_frames
    assert {mask.reason for mask in masks} == {"fewer than 10 frames follow"}


def test_tiny_frames_are_unknown():
    frames = np.zeros((12, 20, 20, 3), np.uint8)
    assert "32 px" in motion.moving_mask(frames).reason


def test_wrong_frames_are_refused():
    with pytest.raises(ValueError, match=r"\(12, 20, 20\)"):
        motion.moving_mask(np.zeros((12, 20, 20), np.uint8))
    with pytest.raises(ValueError, match="float64"):
        motion.moving_mask(np.zeros((12, 40, 40, 3)))
    with pytest.raises(ValueError, match=r"\(40, 50, 3\) after \(40, 40, 3\)"):
        shapes = ((40, 40, 3), (40, 50, 3))
        list(
            motion.iterate_masks(
                [np.zeros(s, np.uint8) for s in shapes], CONFIG
            )
        )


CONFIG = motion.MotionConfig()


def test_config_refuses_unknown_method_and_short_window():
    with pytest.raises(ValueError, match="'itd'.*refined, idt"):
        motion.MotionConfig(method="itd")
    with pytest.raises(ValueError, match="Got 1"):
        motion.MotionConfig(window_frames=1)


def test_digest_follows_every_setting():
    digests = {
        motion.config_digest(motion.MotionConfig()),
        motion.config_digest(motion.MotionConfig(method="idt")),
        motion.config_digest(motion.MotionConfig(window_frames=9)),
    }
    assert len(digests) == 3
    assert motion.config_digest(motion.MotionConfig()) == motion.config_digest(
        motion.MotionConfig()
    )


def test_real_clips(shared_data):
    """A floor under what docs/motion_masks.md reports, on three clips."""
    import cv2

    from mtssl_tf.motion import clips

    agreement = []
    for name in ("dog", "camel", "horsejump-high"):
        frames = clips.read_frames(
            clips.Clip(name, shared_data / "videos" / name), 180
        )
        window = np.stack([next(frames) for _ in range(11)])
        path = shared_data / "masks" / name / "00000.png"
        truth = cv2.resize(
            cv2.imread(str(path), cv2.IMREAD_GRAYSCALE),
            window.shape[2:0:-1],
            interpolation=cv2.INTER_NEAREST,
        )
        mask = motion.moving_mask(window).moving
        agreement.append(
            motion_clips.intersection_over_union(mask, truth > 127)
        )
    assert np.mean(agreement) > 0.6


def test_static_room_stays_still(shared_data):
    from mtssl_tf.motion import clips

    room = shared_data / "videos" / "7scenes_static_room"
    shares = [
        mask.moving.mean()
        for _, _, mask in motion.iterate_masks(
            clips.read_frames(clips.Clip("", room)), CONFIG
        )
        if mask.is_known
    ]
    assert len(shares) >= 20
    assert np.mean(shares) < 0.05
