"""Frames and pairs of frames that say nothing about motion."""

from __future__ import annotations

import cv2
import numpy as np

from mtssl_tf.motion import config as motion_config
from mtssl_tf.motion import flow as flow_lib


def frame_problem(frame: np.ndarray, config: motion_config.CutConfig) -> str:
    """Returns why a frame shows nothing, or ''.

    Args:
        frame: uint8 [H, W, 3] RGB.
    """
    if np.percentile(frame[::4, ::4], 99) < config.black_level:
        return "black frame"
    grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)[::2, ::2].astype(np.int16)
    edges = np.abs(np.diff(grey, axis=1)) >= config.edge_levels
    if edges.mean() < config.min_edge_share:
        return "no texture"
    return ""


def pair_problem(
    previous: np.ndarray,
    following: np.ndarray,
    flow: np.ndarray,
    config: motion_config.CutConfig,
) -> str:
    """Returns why no track can go from one frame to the next, or ''.

    Args:
        previous: uint8 [H, W, 3] RGB.
        following: uint8 [H, W, 3] RGB.
        flow: float32 [H, W, 2], px, between them.
    """
    first, second = _thumbnail(previous), _thumbnail(following)
    change = float(second.mean()) - float(first.mean())
    if abs(change) > config.flash_levels:
        return "flash"
    error = _aligned_error(first, second, flow) / max(float(first.std()), 4.0)
    similarity = _histogram_correlation(previous, following)
    if error > config.cut_error:
        return "cut"
    if (
        similarity < config.cut_histogram_correlation
        and error > config.cut_error / 2
    ):
        return "cut"
    return ""


_THUMBNAIL = (80, 60)  # (w, h) px


def _thumbnail(frame: np.ndarray) -> np.ndarray:
    small = cv2.resize(frame, _THUMBNAIL, interpolation=cv2.INTER_AREA)
    return cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32)


def _aligned_error(
    first: np.ndarray, second: np.ndarray, flow: np.ndarray
) -> float:
    """Returns the mean absolute grey difference along the flow."""
    width, height = _THUMBNAIL
    ratio = (width / flow.shape[1], height / flow.shape[0])
    small = cv2.resize(flow, _THUMBNAIL, interpolation=cv2.INTER_AREA)
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    target = (np.stack([x, y], axis=-1) + small * ratio).astype(np.float32)
    return float(np.abs(flow_lib.remapped(second, target) - first).mean())


def _histogram_correlation(first: np.ndarray, second: np.ndarray) -> float:
    return cv2.compareHist(
        _histogram(first), _histogram(second), cv2.HISTCMP_CORREL
    )


def _histogram(frame: np.ndarray) -> np.ndarray:
    sparse = np.ascontiguousarray(frame[::4, ::4])
    return cv2.calcHist(
        [sparse], [0, 1, 2], None, [8, 8, 8], [0, 256, 0, 256, 0, 256]
    )
