"""Pixels of the window that look alike agree on whether they move.

Motion alone gives fat, holed masks: flow bleeds over edges, and the middle of
a turning body stands still. So every pixel of the window votes with its
saliency for those of a similar colour at a similar place (after Faktor and
Irani 2014, non-local consensus voting, with cells of a bilateral grid in place
of a nearest-neighbour graph). All *ours* but that idea.
"""

from __future__ import annotations

import cv2
import numpy as np

from mtssl_tf.motion import config as motion_config

_OFFSETS = (0.0, 0.5)  # of a cell: two shifted grids hide each other's edges


def cell_indices(
    small_rgb: np.ndarray, config: motion_config.ConsensusConfig
) -> tuple[np.ndarray, tuple[int, ...]]:
    """Returns each pixel's cell in each of the shifted grids.

    Args:
        small_rgb: uint8 [h, w, 3] RGB.

    Returns:
        int32 [2, h * w] flat indices, and the grid's shape.
    """
    height, width = small_rgb.shape[:2]
    lab = cv2.cvtColor(small_rgb, cv2.COLOR_RGB2LAB).astype(np.float32)
    low, high = config.chroma_range
    chroma = np.clip(lab[..., 1:], low, high) - low
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    axes: tuple[tuple[np.ndarray, int, int], ...] = (
        (x, config.cell_px, width),
        (y, config.cell_px, height),
        (lab[..., 0], config.cell_lightness, 256),
        (chroma[..., 0], config.cell_chroma, high - low + 1),
        (chroma[..., 1], config.cell_chroma, high - low + 1),
    )
    # One empty cell ends every axis, so that blurring the flat grid can't
    # carry votes from one row into the next.
    shape = tuple(int((size - 1) / cell + 0.5) + 2 for _, cell, size in axes)
    strides = _strides(shape)
    flat = np.zeros((len(_OFFSETS), height, width), np.int32)
    for (value, cell, _), stride in zip(axes, strides, strict=True):
        for grid, offset in enumerate(_OFFSETS):
            flat[grid] += (value / cell + offset).astype(np.int32) * stride
    return flat.reshape(len(_OFFSETS), -1), shape


def _strides(shape: tuple[int, ...]) -> list[int]:
    return [int(np.prod(shape[axis + 1 :])) for axis in range(len(shape))]


def agreed_saliency(
    indices: np.ndarray,
    shape: tuple[int, ...],
    saliency: np.ndarray,
    weight: np.ndarray,
    config: motion_config.ConsensusConfig,
) -> np.ndarray:
    """Returns what the window's similar pixels say about the first frame's.

    Args:
        indices: int32 [T, 2, N], `cell_indices` of the window's frames.
        shape: of the grid.
        saliency: float32 [T, N] in [0, 1].
        weight: float32 [T, N] in [0, 1]: how much each vote counts.

    Returns:
        float32 [N] in [0, 1].
    """
    cells = int(np.prod(shape))
    for_moving = (saliency * weight).ravel()
    total = np.zeros(indices.shape[-1], np.float32)
    for grid in range(len(_OFFSETS)):
        index = indices[:, grid].ravel()
        moving = _blurred(np.bincount(index, for_moving, cells), shape)
        votes = _blurred(np.bincount(index, weight.ravel(), cells), shape)
        here = indices[0, grid]
        total += moving[here] / (votes[here] + config.prior_votes)
    return total / len(_OFFSETS)


def _blurred(grid: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Blurs a flat grid by (1, 2, 1) / 4 along each of its axes.

    Each axis is two sums of neighbours; what they cut off is padded before.
    """
    strides = _strides(shape)
    blurred = np.pad(grid.astype(np.float32), sum(strides))
    for stride in strides:
        blurred = blurred[:-stride] + blurred[stride:]
        blurred = blurred[:-stride] + blurred[stride:]
    return blurred * np.float32(0.25 ** len(shape))
