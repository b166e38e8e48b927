"""Flow, camera, planes, tracks, votes and measures, each by itself."""

import cv2
import motion_clips
import numpy as np
import pytest

from mtssl_tf.motion import camera as camera_lib
from mtssl_tf.motion import compare
from mtssl_tf.motion import config as motion_config
from mtssl_tf.motion import consensus
from mtssl_tf.motion import flow as flow_lib
from mtssl_tf.motion import planes as planes_lib
from mtssl_tf.motion import saliency
from mtssl_tf.motion import tracks as tracks_lib
from mtssl_tf.motion import trust

CAMERA, IDT = motion_config.CameraConfig(), motion_config.IdtConfig()


def shifted_pair(shift_px=(3.0, -2.0), size=(96, 128)):
    world = cv2.cvtColor(
        motion_clips.texture(*size, seed=5), cv2.COLOR_RGB2GRAY
    )
    matrix = np.float32([[1, 0, shift_px[0]], [0, 1, shift_px[1]]])
    moved = cv2.warpAffine(
        world, matrix, size[::-1], borderMode=cv2.BORDER_REFLECT
    )
    return world, moved


@pytest.mark.parametrize(
    "flow_of",
    [flow_lib.dis_flow, lambda a, b: flow_lib.farneback_flow(a, b, IDT)],
)
def test_flow_finds_a_shift(flow_of):
    first, second = shifted_pair()
    middle = flow_of(first, second)[20:-20, 20:-20]
    np.testing.assert_allclose(middle.mean(axis=(0, 1)), (3, -2), atol=0.15)


def test_sampled_is_bilinear_for_any_number_of_points_and_channels():
    """OpenCV's remap has traps here: many, none, and odd channel counts."""
    x = flow_lib.pixel_grid(40, 50)
    points = np.random.default_rng(0).uniform(0, 39, (40_000, 2))
    points = points.astype(np.float32)
    for channels in (1, 2, 3, 4):
        ramps = np.stack([x[..., 0] * (c + 1) for c in range(channels)], -1)
        values = flow_lib.sampled(np.ascontiguousarray(ramps), points)
        expected = points[:, :1] * np.arange(1, channels + 1)
        np.testing.assert_allclose(values, expected, atol=0.1)
        assert flow_lib.sampled(ramps, points[:0]).shape == (0, channels)


def test_resized_flow_scales_its_vectors():
    flow = np.full((40, 60, 2), (6.0, 4.0), np.float32)
    small = flow_lib.resized_flow(flow, (30, 10))
    assert small.shape == (10, 30, 2)
    np.testing.assert_allclose(small[5, 5], (3, 1))


def test_camera_is_found_despite_moving_points():
    rng = np.random.default_rng(0)
    true = np.array([[1.01, 0.01, 3], [-0.01, 0.99, -2], [1e-5, 0, 1]])
    start = rng.uniform(0, 200, (300, 2)).astype(np.float32)
    end = start + camera_lib.homography_flow(true, start)
    end[:90] += (12, 5)  # an object
    camera = camera_lib.estimate_camera(start, end, (200, 200), CAMERA)
    assert camera.is_estimated
    assert camera.inlier_share == pytest.approx(0.7, abs=0.02)
    grid = flow_lib.pixel_grid(200, 200)[::20, ::20]
    np.testing.assert_allclose(
        camera_lib.homography_flow(camera.homography, grid),
        camera_lib.homography_flow(true, grid),
        atol=0.05,
    )


def test_too_few_matches_give_no_camera():
    points = np.random.default_rng(0).uniform(0, 99, (50, 2))
    points = points.astype(np.float32)
    camera = camera_lib.estimate_camera(points, points, (99, 99), CAMERA)
    assert not camera.is_estimated
    np.testing.assert_array_equal(camera.homography, np.eye(3))


@pytest.mark.parametrize(
    "homography, expected",
    [
        (np.eye(3), False),
        ([[1.2, 0, 9], [0, 1.1, 9], [0, 0, 1]], False),
        ([[-1, 0, 99], [0, 1, 0], [0, 0, 1]], True),  # mirrors
        ([[0.5, 0, 0], [0, 0.5, 0], [0, 0, 1]], True),  # shrinks
        ([[1, 0, 0], [0, 1, 0], [0.02, 0, 1]], True),  # tilts
        ([[1, 0, 0], [0, 1, 0], [-0.02, 0, 1]], True),  # behind the camera
        ([[1, 1, 0], [1, 1, 0], [0, 0, 1]], True),  # a line
    ],
)
def test_degenerate_homographies(homography, expected):
    found = camera_lib.is_degenerate(
        np.array(homography, float), (100, 100), CAMERA
    )
    assert found == expected


def test_keypoints_and_corners_match_over_a_shift():
    first, second = shifted_pair(size=(200, 240))
    flow = np.full((200, 240, 2), (3, -2), np.float32)
    start, end = camera_lib.flow_matches(first, flow, CAMERA)
    assert len(start) > 50
    np.testing.assert_allclose(end - start, 0 * start + (3, -2), atol=0.1)
    start, end = camera_lib.keypoint_matches(
        camera_lib.keypoints(first, CAMERA),
        camera_lib.keypoints(second, CAMERA),
    )
    assert len(start) > 20
    np.testing.assert_allclose(np.median(end - start, 0), (3, -2), atol=0.2)


def test_texture_free_frames_have_no_matches():
    flat = np.full((60, 80), 128, np.uint8)
    nothing = camera_lib.keypoints(flat, CAMERA)
    assert len(camera_lib.keypoint_matches(nothing, nothing)[0]) == 0
    flow = np.zeros((60, 80, 2), np.float32)
    assert len(camera_lib.flow_matches(flat, flow, CAMERA)[0]) == 0


def two_planes(is_enclosed):
    """The left part, or an island, moves apart from the rest."""
    flow = np.full((90, 160, 2), (1.0, 0.0), np.float32)
    if is_enclosed:
        flow[30:60, 50:100] = (-2, 1)
    else:
        flow[:, :50] = (-2, 1)
    return flow


@pytest.mark.parametrize("is_enclosed, num_planes", [(True, 1), (False, 2)])
def test_only_what_reaches_the_border_is_world(is_enclosed, num_planes):
    flow = two_planes(is_enclosed)
    planes = planes_lib.fit_planes(flow, motion_config.PlanesConfig(), CAMERA)
    assert len(planes) == num_planes
    residual = planes_lib.residual_motion(flow, planes)
    assert (residual.max() > 3) == is_enclosed


def test_random_flow_has_no_planes():
    rng = np.random.default_rng(0)
    flow = rng.normal(0, 9, (90, 160, 2)).astype(np.float32)
    assert (
        planes_lib.fit_planes(flow, motion_config.PlanesConfig(), CAMERA) == []
    )


def tracks_of(steps, residuals=None):
    """One track from its steps, [10, 2]."""
    points = np.concatenate([np.zeros((1, 2)), np.cumsum(steps, axis=0)])
    residuals = steps if residuals is None else residuals
    return tracks_lib.Tracks(
        points[:, None], residuals[:, None], np.array([True])
    )


STEADY = np.tile([2.0, 0.0], (10, 1))
JUMPING = np.concatenate([np.tile([1.0, 0], (9, 1)), [[25.0, 0]]])


@pytest.mark.parametrize(
    "steps, reason",
    [
        (STEADY, None),
        (STEADY * 0.1, "static"),
        (STEADY * 10, "random"),
        (JUMPING, "jump"),
    ],
)
def test_tracks_are_dropped_by_the_release_rules(steps, reason):
    drops = tracks_lib.dropped(tracks_of(steps), IDT)
    assert [name for name, is_set in drops.items() if is_set[0]] == (
        [reason] if reason else []
    )


def test_largest_residual_decides_on_camera_motion():
    residuals = np.full((10, 2), 0.6)  # 0.85 px a step
    assert tracks_lib.is_camera_motion(tracks_of(STEADY, residuals), 1.0)[0]
    residuals[4] = (1.1, 0)
    assert not tracks_lib.is_camera_motion(tracks_of(STEADY, residuals), 1.0)[0]


def test_follow_adds_up_the_flow_and_notices_leaving():
    field = np.tile(np.float32([2, 1, 0.5, 0]), (30, 40, 1))
    start = np.float32([[5, 5], [35, 5]])
    tracks = tracks_lib.follow(start, [field] * 4)
    np.testing.assert_allclose(tracks.points[-1, 0], (13, 9), atol=1e-4)
    np.testing.assert_allclose(tracks.residuals[:, 0], [[0.5, 0]] * 4)
    assert tracks.is_inside.tolist() == [True, False]


def test_confidence_is_low_where_flow_does_not_come_back():
    forward = np.zeros((40, 60, 2), np.float32)
    forward[..., 0] = 2
    backward = -forward
    backward[:, 30:] = 0
    confidence = saliency.flow_confidence(
        forward, backward, motion_config.SaliencyConfig()
    )
    np.testing.assert_allclose(confidence[:, 3:25], 1)
    assert confidence[:, 32:].max() < 0.01
    assert confidence[:, -1].max() == 0  # leaves the frame


def test_saliency_is_half_at_the_threshold_and_ignores_noise():
    config = motion_config.SaliencyConfig()
    quiet = np.full((40, 60), 0.03, np.float32)
    trusted = np.ones_like(quiet)
    assert saliency.saliency(quiet, trusted, config).max() == 0
    quiet[10:30, 20:40] = 4
    found = saliency.saliency(quiet, trusted, config)
    assert found[20, 30] == 1 and found[2, 2] == 0
    quiet[10:30, 20:40] = config.min_residual_px
    found = saliency.saliency(quiet, trusted, config)
    assert found[20, 30] == pytest.approx(0.5, abs=0.01)


def test_similar_pixels_agree():
    """A red square, half of which was seen to move, moves as a whole."""
    picture = np.full((40, 60, 3), (60, 120, 60), np.uint8)
    picture[10:30, 20:40] = (200, 40, 40)
    salient = np.zeros((40, 60), np.float32)
    salient[10:30, 20:31] = 1
    config = motion_config.ConsensusConfig()
    indices, shape = consensus.cell_indices(picture, config)
    agreed = consensus.agreed_saliency(
        indices[None],
        shape,
        salient.reshape(1, -1),
        np.ones((1, salient.size), np.float32),
        config,
    ).reshape(40, 60)
    assert agreed[20, 36] > 0.3
    assert agreed[2:8, 2:58].max() < 0.05


def test_unweighted_pixels_have_no_vote():
    picture = motion_clips.texture(40, 60, seed=2)
    config = motion_config.ConsensusConfig()
    indices, shape = consensus.cell_indices(picture, config)
    ones = np.ones((1, 2400), np.float32)
    agreed = consensus.agreed_saliency(
        indices[None], shape, ones, 0 * ones, config
    )
    assert agreed.max() == 0


def test_votes_do_not_leak_across_the_frame():
    """Flat indices of neighbours in memory can be opposite edges."""
    picture = np.full((40, 160, 3), 128, np.uint8)
    salient = np.zeros((40, 160), np.float32)
    salient[:, -8:] = 1
    config = motion_config.ConsensusConfig()
    indices, shape = consensus.cell_indices(picture, config)
    agreed = consensus.agreed_saliency(
        indices[None],
        shape,
        salient.reshape(1, -1),
        np.ones((1, salient.size), np.float32),
        config,
    ).reshape(40, 160)
    assert agreed[:, :100].max() == 0


def test_cut_and_flash_but_not_a_fast_pan():
    first = motion_clips.texture(96, 128, seed=0)
    pan = np.roll(first, 20, axis=1)
    flow = np.zeros((96, 128, 2), np.float32)
    config = motion_config.CutConfig()
    moved = flow.copy()
    moved[..., 0] = 20
    assert trust.pair_problem(first, pan, moved, config) == ""
    other = motion_clips.texture(96, 128, seed=1)
    assert trust.pair_problem(first, other, flow, config) == "cut"
    flash = np.minimum(first.astype(int) + 90, 255).astype(np.uint8)
    assert trust.pair_problem(first, flash, flow, config) == "flash"


def test_measures_by_hand():
    truth = np.zeros((50, 50), bool)
    truth[10:30, 10:30] = True
    moving = np.zeros((50, 50), bool)
    moving[10:30, 20:40] = True
    measures = compare.compare_masks(moving, truth)
    assert measures["J"] == pytest.approx(1 / 3)
    assert measures["precision"] == measures["recall"] == 0.5
    assert compare.boundary_f(truth, truth) == 1
    assert 0.3 < measures["F"] < 0.8


def test_empty_masks():
    nothing = np.zeros((20, 20), bool)
    assert compare.compare_masks(nothing, nothing)["J"] == 1
    assert compare.compare_masks(nothing, ~nothing)["J"] == 0
    with pytest.raises(ValueError, match=r"\(20, 20\).*\(10, 20\)"):
        compare.compare_masks(nothing, nothing[:10])
