"""The static world's motion, as one or several planes seen by the camera.

One homography explains a turning camera or a flat world. A camera that walks
past things at several distances needs more: further planes are fitted to what
the first leaves, and count as world only if they reach the frame's border as
much as the world does. An object that moves by itself is mostly enclosed, so
its own plane does not pass. (*ours*; boundary priors are common in saliency.)
"""

from __future__ import annotations

import cv2
import numpy as np

from mtssl_tf.motion import camera as camera_lib
from mtssl_tf.motion import config as motion_config
from mtssl_tf.motion import flow as flow_lib


def fit_planes(
    flow: np.ndarray,
    config: motion_config.PlanesConfig,
    limits: motion_config.CameraConfig,
) -> list[camera_lib.Camera]:
    """Fits the planes of the static world, the largest first.

    Args:
        flow: float32 [h, w, 2], px of this size.
        config: how to fit.
        limits: when a homography is degenerate.

    Returns:
        Up to `max_planes`; empty if nothing agrees on a camera.
    """
    size = flow.shape[:2]
    points, moved, is_border = _samples(flow, config)
    is_left = np.ones(len(points), bool)
    planes: list[camera_lib.Camera] = []
    for _ in range(config.max_planes):
        if is_left.sum() < limits.min_matches:
            break
        camera, is_inlier = _fit(points, moved, is_left, config)
        is_new = is_inlier & is_left
        if is_new.mean() < config.min_share:
            break
        if camera_lib.is_degenerate(camera.homography, size, limits):
            break
        border_share = is_border[is_new].mean()
        is_world = border_share > config.min_border * is_border.mean()
        if not planes or is_world:
            planes.append(camera)
        is_left &= ~is_inlier
    return planes


def _samples(
    flow: np.ndarray, config: motion_config.PlanesConfig
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns float32 [N, 2] points, where they go, and bool [N] border."""
    step = config.step_px
    grid = flow_lib.pixel_grid(*flow.shape[:2])[
        step // 2 :: step, step // 2 :: step
    ]
    moved = grid + flow[step // 2 :: step, step // 2 :: step]
    is_border = np.ones(grid.shape[:2], bool)
    rim = config.border_steps
    is_border[rim:-rim, rim:-rim] = False
    return grid.reshape(-1, 2), moved.reshape(-1, 2), is_border.ravel()


def _fit(
    points: np.ndarray,
    moved: np.ndarray,
    is_left: np.ndarray,
    config: motion_config.PlanesConfig,
) -> tuple[camera_lib.Camera, np.ndarray]:
    """Returns the plane most of the points left agree on, and who agrees."""
    cv2.setRNGSeed(0)  # the same frames give the same planes
    homography, _ = cv2.findHomography(
        points[is_left], moved[is_left], cv2.USAC_FAST, config.ransac_px
    )
    if homography is None:
        nobody = np.zeros(len(points), bool)
        return camera_lib.Camera(np.eye(3), 0.0, False), nobody
    error = moved - points - camera_lib.homography_flow(homography, points)
    is_inlier = np.linalg.norm(error, axis=-1) < 3 * config.ransac_px
    share = float(is_inlier.mean())
    return camera_lib.Camera(homography, share, True), is_inlier


def residual_motion(
    flow: np.ndarray, planes: list[camera_lib.Camera]
) -> np.ndarray:
    """Returns what the nearest plane leaves of the flow.

    Args:
        flow: float32 [h, w, 2], px.
        planes: at least one.

    Returns:
        float32 [h, w]: px, the smallest over the planes.
    """
    grid = flow_lib.pixel_grid(*flow.shape[:2])
    left = [
        np.linalg.norm(
            flow - camera_lib.homography_flow(p.homography, grid), axis=-1
        )
        for p in planes
    ]
    return np.min(left, axis=0)
