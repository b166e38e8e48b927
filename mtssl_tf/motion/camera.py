"""The camera's motion between two frames, as a homography."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np

from mtssl_tf.motion import config as motion_config
from mtssl_tf.motion import flow as flow_lib


@dataclasses.dataclass(frozen=True)
class Camera:
    """What one pair of frames says about the camera.

    Attributes:
        homography: float64 [3, 3], from the first frame to the second;
            the identity where none could be estimated.
        inlier_share: in [0, 1], of the matches that it explains.
        is_estimated: False where the homography is only a stand-in.
    """

    homography: np.ndarray
    inlier_share: float
    is_estimated: bool


def flow_matches(
    grey: np.ndarray, flow: np.ndarray, config: motion_config.CameraConfig
) -> tuple[np.ndarray, np.ndarray]:
    """Returns corners of a frame and where the flow takes them.

    Args:
        grey: uint8 [H, W].
        flow: float32 [H, W, 2], px.

    Returns:
        Two float32 [N, 2]: (x, y) in px; those that leave the frame left out.
    """
    corners = cv2.goodFeaturesToTrack(
        grey,
        config.max_corners,
        config.corner_quality,
        config.corner_distance_px,
    )
    if corners is None:
        return np.empty((0, 2), np.float32), np.empty((0, 2), np.float32)
    start = corners.reshape(-1, 2)
    end = start + flow_lib.sampled(flow, start)
    limit = (grey.shape[1] - 1, grey.shape[0] - 1)
    is_inside = ((end >= 0) & (end <= limit)).all(axis=1)
    return start[is_inside], end[is_inside]


def keypoints(
    grey: np.ndarray, config: motion_config.CameraConfig
) -> tuple[np.ndarray, np.ndarray | None]:
    """Returns ORB keypoints (free, where IDT's SURF is patented).

    Returns:
        float32 [N, 2]: (x, y) in px; and uint8 [N, 32] descriptors or None.
    """
    orb = cv2.ORB.create(config.max_keypoints)
    points, descriptors = orb.detectAndCompute(grey, None)
    return _as_points([point.pt for point in points]), descriptors


def keypoint_matches(
    first: tuple[np.ndarray, np.ndarray | None],
    second: tuple[np.ndarray, np.ndarray | None],
) -> tuple[np.ndarray, np.ndarray]:
    """Returns mutual nearest neighbours between two frames' keypoints.

    Returns:
        Two float32 [N, 2]: (x, y) in px.
    """
    if first[1] is None or second[1] is None:
        return np.empty((0, 2), np.float32), np.empty((0, 2), np.float32)
    matcher = cv2.BFMatcher(cv2.NORM_HAMMING, crossCheck=True)
    matches = matcher.match(first[1], second[1])
    start = [first[0][match.queryIdx] for match in matches]
    end = [second[0][match.trainIdx] for match in matches]
    return _as_points(start), _as_points(end)


def _as_points(points: list) -> np.ndarray:
    return np.array(points, np.float32).reshape(-1, 2)


def estimate_camera(
    start: np.ndarray,
    end: np.ndarray,
    size: tuple[int, int],
    config: motion_config.CameraConfig,
) -> Camera:
    """Fits the homography that most matches agree on.

    Args:
        start: float32 [N, 2], (x, y) in px in the first frame.
        end: float32 [N, 2], the same points in the second.
        size: (H, W) of the frames in px.

    Returns:
        The camera; not estimated if matches are too few, too few agree or the
        homography is degenerate.
    """
    unknown = Camera(np.eye(3), 0.0, False)
    if len(start) <= config.min_matches:
        return unknown
    cv2.setRNGSeed(0)  # the same frames give the same camera
    homography, inliers = cv2.findHomography(
        start, end, cv2.RANSAC, config.ransac_px
    )
    if homography is None or int(inliers.sum()) <= config.min_inliers:
        return unknown
    if is_degenerate(homography, size, config):
        return unknown
    return Camera(homography, float(inliers.mean()), True)


def is_degenerate(
    homography: np.ndarray,
    size: tuple[int, int],
    config: motion_config.CameraConfig,
) -> bool:
    """Tells whether no camera could move like this between two frames.

    It flips the frame, changes its area by too much, or its scale varies too
    much between corners.
    """
    height, width = size
    corners = np.array(
        [[0, 0, 1], [width, 0, 1], [width, height, 1], [0, height, 1]], float
    )
    projected = corners @ homography.T
    depth = projected[:, 2]
    if not np.isfinite(projected).all() or (depth <= 0).any():
        return True
    if depth.max() / depth.min() > 1 + config.max_perspective:
        return True
    flat = (projected[:, :2] / depth[:, None]).astype(np.float32)
    area = cv2.contourArea(flat, oriented=True) / (height * width)
    return not 1 / config.max_area_ratio < area < config.max_area_ratio


def homography_flow(homography: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """Returns how the camera alone would move points.

    Args:
        homography: float64 [3, 3].
        grid: float32 [..., 2]: (x, y) in px.

    Returns:
        float32 [..., 2]: (x, y) in px.
    """
    flat = grid.reshape(-1, 1, 2)
    moved = cv2.perspectiveTransform(flat, homography)
    return moved.reshape(grid.shape) - grid
