"""How surely a pixel moves by itself between two frames, from 0 to 1."""

from __future__ import annotations

import cv2
import numpy as np

from mtssl_tf.motion import config as motion_config
from mtssl_tf.motion import flow


def flow_confidence(
    forward: np.ndarray,
    backward: np.ndarray,
    config: motion_config.SaliencyConfig,
) -> np.ndarray:
    """Returns how well going there and back ends where it began.

    Low where something gets covered, leaves the frame, or has no texture to
    hold on to.

    Args:
        forward: float32 [h, w, 2], px, from the first frame to the second.
        backward: float32 [h, w, 2], px, from the second to the first.

    Returns:
        float32 [h, w] in [0, 1].
    """
    height, width = forward.shape[:2]
    target = flow.pixel_grid(height, width) + forward
    error = forward + flow.remapped(backward, target)
    tolerance = config.consistency_px**2 + config.consistency_share * (
        forward**2
    ).sum(axis=-1)
    confidence = np.exp(-(error**2).sum(axis=-1) / tolerance)
    limit = np.array([width - 1, height - 1], np.float32)
    is_inside = ((target >= 0) & (target <= limit)).all(axis=-1)
    return np.where(is_inside, confidence, 0).astype(np.float32)


def saliency(
    residual: np.ndarray,
    confidence: np.ndarray,
    config: motion_config.SaliencyConfig,
) -> np.ndarray:
    """Returns how surely each pixel moves by itself.

    The threshold (where it is 0.5) follows the frame: well above what most of
    the frame leaves, a good part of what its fastest part leaves, and never
    below the flow's own noise.

    Args:
        residual: float32 [h, w], px: motion that the camera leaves.
        confidence: float32 [h, w] in [0, 1].

    Returns:
        float32 [h, w] in [0, 1].
    """
    trusted = np.where(confidence > config.min_confidence, residual, 0)
    smooth = cv2.GaussianBlur(trusted, (0, 0), config.blur_px)
    threshold = max(
        config.min_residual_px,
        config.fastest_share * float(np.percentile(smooth, 99)),
        config.median_factor * float(np.median(smooth)),
    )
    return np.clip(smooth / threshold - 0.5, 0, 1).astype(np.float32)
