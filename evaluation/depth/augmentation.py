"""Laina's augmentation of a picture and its depth, as one warp of each."""

from __future__ import annotations

import cv2
import numpy as np

from evaluation.depth import config as depth_config

# Coordinates are continuous: pixel 0 reaches from 0 to 1. OpenCV counts from
# its centre.
_FROM_OPENCV = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
_TO_OPENCV = np.array([[1, 0, -0.5], [0, 1, -0.5], [0, 0, 1]])
_TO_PREDICTION = np.diag(
    [1 / depth_config.PREDICTION_STRIDE, 1 / depth_config.PREDICTION_STRIDE, 1]
)


def augment(
    rgb: np.ndarray,
    depth_m: np.ndarray,
    config: depth_config.AugmentationConfig,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Scales, rotates, crops, mirrors and tints a picture and its depth.

    A picture enlarged by s shows what a camera s times nearer would see, so
    its depth is divided by s. Depth is never interpolated: a mean over an
    edge, or with a missing value, is the depth of nothing.

    Args:
        rgb: uint8 [H, W, 3].
        depth_m: float32 [H, W], metres, 0 where missing.
        config: ranges to draw from.
        rng: draws.

    Returns:
        uint8 [H, W, 3] and float32 [H/2, W/2], metres, 0 where missing or
        outside of the picture.
    """
    scale = rng.uniform(1.0, config.max_scale)
    height, width = depth_m.shape
    warp = _draw_warp(height, width, scale, config, rng)
    rgb = cv2.warpAffine(
        rgb, _for_opencv(warp), (width, height), flags=cv2.INTER_LINEAR
    )
    depth_m = cv2.warpAffine(
        depth_m,
        _for_opencv(_TO_PREDICTION @ warp),
        (
            width // depth_config.PREDICTION_STRIDE,
            height // depth_config.PREDICTION_STRIDE,
        ),
        flags=cv2.INTER_NEAREST,
    )
    change = config.max_color_change
    tint = rng.uniform(1.0 - change, 1.0 + change, 3).astype(np.float32)
    rgb = np.clip(np.rint(rgb * tint), 0, 255).astype(np.uint8)
    return rgb, depth_m / np.float32(scale)


def _draw_warp(
    height: int,
    width: int,
    scale: float,
    config: depth_config.AugmentationConfig,
    rng: np.random.Generator,
) -> np.ndarray:
    """A 3x3 map from the picture's coordinates (x, y, 1) to the crop's."""
    angle = np.radians(
        rng.uniform(-config.max_rotation_deg, config.max_rotation_deg)
    )
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    to_center = _translation(-width / 2, -height / 2)
    turn = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
    if config.use_flip and rng.random() < 0.5:
        turn = np.diag([-1.0, 1.0, 1.0]) @ turn
    # The crop has the picture's size: enlarging makes the room to move it.
    room_x, room_y = (scale - 1.0) * width, (scale - 1.0) * height
    to_crop = _translation(
        scale * width / 2 - rng.uniform(0, room_x),
        scale * height / 2 - rng.uniform(0, room_y),
    )
    return to_crop @ turn @ to_center


def _translation(x: float, y: float) -> np.ndarray:
    return np.array([[1.0, 0.0, x], [0.0, 1.0, y], [0.0, 0.0, 1.0]])


def _for_opencv(warp: np.ndarray) -> np.ndarray:
    """The same map between pixel indices, [2, 3]."""
    return (_TO_OPENCV @ warp @ _FROM_OPENCV)[:2]
