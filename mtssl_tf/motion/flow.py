"""Dense optical flow between two grey frames, and moving along it."""

from __future__ import annotations

import cv2
import numpy as np

from mtssl_tf.motion import config as motion_config


def farneback_flow(
    previous: np.ndarray, following: np.ndarray, config: motion_config.IdtConfig
) -> np.ndarray:
    """Returns Improved Dense Trajectories' flow: Farneback, median-filtered.

    Args:
        previous: uint8 [H, W], grey.
        following: uint8 [H, W], grey.

    Returns:
        float32 [H, W, 2]: (x, y) in px from `previous` to `following`.
    """
    flow = cv2.calcOpticalFlowFarneback(
        previous,
        following,
        np.zeros((*previous.shape, 2), np.float32),
        pyr_scale=1 / config.scale_stride,
        levels=num_scales(previous.shape[:2], config) - 1,
        winsize=config.flow_window_px,
        iterations=config.flow_iterations,
        poly_n=config.flow_poly_n,
        poly_sigma=config.flow_poly_sigma,
        flags=cv2.OPTFLOW_FARNEBACK_GAUSSIAN,
    )
    return cv2.medianBlur(flow, config.median_px)


def dis_flow(previous: np.ndarray, following: np.ndarray) -> np.ndarray:
    """Returns dense inverse search flow (Kroeger et al. 2016).

    Args:
        previous: uint8 [H, W], grey.
        following: uint8 [H, W], grey.

    Returns:
        float32 [H, W, 2]: (x, y) in px from `previous` to `following`.
    """
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    nothing_yet = np.zeros((*previous.shape, 2), np.float32)
    return search.calc(previous, following, nothing_yet)


def resized_flow(flow: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Returns flow for a frame resized to (w, h), in px of that size."""
    ratio = (size[0] / flow.shape[1], size[1] / flow.shape[0])
    small = cv2.resize(flow, size, interpolation=cv2.INTER_AREA)
    return small * np.array(ratio, np.float32)


def num_scales(size: tuple[int, int], config: motion_config.IdtConfig) -> int:
    """Returns how many scales a frame of (H, W) px is large enough for."""
    ratio = max(1.0, min(size) / config.min_side_px)
    fitting = 1 + int(np.log(ratio) / np.log(config.scale_stride))
    return min(config.num_scales, fitting)


def sampled(field: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Returns a field's values at points, bilinear, edges repeated.

    Args:
        field: float32 [H, W, C], C <= 4.
        points: float32 [..., 2]: (x, y) in px.

    Returns:
        float32 [..., C].
    """
    if not points.size:  # which cv2.remap refuses
        return np.empty((*points.shape[:-1], field.shape[-1]), np.float32)
    # One long row: several times as fast as a column.
    flat = np.ascontiguousarray(points.reshape(1, -1, 2), np.float32)
    # cv2.remap takes at most 32767 columns.
    parts = np.array_split(flat, flat.shape[1] // 32000 + 1, axis=1)
    values = [remapped(field, np.ascontiguousarray(part)) for part in parts]
    return np.concatenate(values, axis=1).reshape(
        *points.shape[:-1], field.shape[-1]
    )


def remapped(field: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Returns `sampled` for points that fill a picture, at full speed.

    Args:
        field: [H, W] or [H, W, C] that cv2.remap takes, C <= 4.
        points: float32 [h, w, 2], (x, y) in px; h and w below 32768.

    Returns:
        `field`'s dtype, [h, w] or [h, w, C].
    """
    # OpenCV 5.0 reads garbage if the second map is an empty array, which is
    # what its type stubs ask for; None works.
    return cv2.remap(  # type: ignore[call-overload]
        field,
        points,
        None,
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )


def pixel_grid(height: int, width: int) -> np.ndarray:
    """Returns float32 [H, W, 2]: every pixel's own (x, y)."""
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    return np.stack([x, y], axis=-1).astype(np.float32)
