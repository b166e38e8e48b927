"""The method that measures best (docs/motion_masks.md).

    DIS flow both ways -> planes of the static world -> what they leave
        -> saliency of each pair -> consensus of the window -> mask

All of it is *ours*, made of published steps that need no labels.
"""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np

from mtssl_tf.motion import camera as camera_lib
from mtssl_tf.motion import config as motion_config
from mtssl_tf.motion import consensus
from mtssl_tf.motion import flow as flow_lib
from mtssl_tf.motion import planes as planes_lib
from mtssl_tf.motion import saliency as saliency_lib


@dataclasses.dataclass(frozen=True)
class RefinedPair:
    """Motion between two frames, at the working size.

    Attributes:
        flow: float32 [h, w, 2], px of the working size.
        camera: the largest plane of the static world.
        num_planes: planes found.
        saliency: float32 [h * w] in [0, 1].
        weight: float32 [h * w] in [0, 1]: how much the flow is trusted.
        cells: int32 [2, h * w]: the first frame's pixels in the vote.
        grid_shape: of the vote.
    """

    flow: np.ndarray
    camera: camera_lib.Camera
    num_planes: int
    saliency: np.ndarray
    weight: np.ndarray
    cells: np.ndarray
    grid_shape: tuple[int, ...]


def analyse_pair(
    previous: np.ndarray,
    following: np.ndarray,
    config: motion_config.MotionConfig,
) -> RefinedPair:
    """Computes flow, the static world's planes and what they leave.

    Args:
        previous: uint8 [H, W, 3] RGB.
        following: uint8 [H, W, 3] RGB.
    """
    settings = config.refined
    first = cv2.cvtColor(previous, cv2.COLOR_RGB2GRAY)
    second = cv2.cvtColor(following, cv2.COLOR_RGB2GRAY)
    size = _working_size(first.shape, settings.short_side_px)
    forward = flow_lib.resized_flow(flow_lib.dis_flow(first, second), size)
    backward = flow_lib.resized_flow(flow_lib.dis_flow(second, first), size)
    planes = planes_lib.fit_planes(forward, settings.planes, config.camera)
    weight = saliency_lib.flow_confidence(forward, backward, settings.saliency)
    if planes:
        residual = planes_lib.residual_motion(forward, planes)
        salient = saliency_lib.saliency(residual, weight, settings.saliency)
    else:
        salient = np.zeros(forward.shape[:2], np.float32)
    small = cv2.resize(previous, size, interpolation=cv2.INTER_AREA)
    cells, grid_shape = consensus.cell_indices(small, settings.consensus)
    return RefinedPair(
        forward,
        planes[0] if planes else camera_lib.Camera(np.eye(3), 0.0, False),
        len(planes),
        salient.ravel(),
        weight.ravel(),
        cells,
        grid_shape,
    )


def bare_flow(
    previous: np.ndarray,
    following: np.ndarray,
    config: motion_config.MotionConfig,
) -> None:
    """Computes only the flow that `analyse_pair` computes: what speed is
    measured against.

    Args:
        previous: uint8 [H, W], grey.
        following: uint8 [H, W], grey.
    """
    flow_lib.dis_flow(previous, following)
    flow_lib.dis_flow(following, previous)


def _working_size(size: tuple[int, ...], short_side_px: int) -> tuple[int, int]:
    """Returns (w, h) for (H, W), never larger."""
    scale = min(1.0, short_side_px / min(size))
    return round(size[1] * scale), round(size[0] * scale)


def window_mask(
    frame: np.ndarray,
    pairs: list[RefinedPair],
    config: motion_config.MotionConfig,
) -> tuple[np.ndarray, dict[str, float]]:
    """Marks the pixels of a frame that move by themselves.

    Args:
        frame: uint8 [H, W, 3] RGB, the first of the window.
        pairs: motion between the window's neighbours.

    Returns:
        bool [H, W], and statistics: mean `planes` and `flow_trusted`.
    """
    settings = config.refined
    weight = np.stack([pair.weight for pair in pairs])
    agreed = consensus.agreed_saliency(
        np.stack([pair.cells for pair in pairs]),
        pairs[0].grid_shape,
        np.stack([pair.saliency for pair in pairs]),
        weight,
        settings.consensus,
    )
    own = settings.own_share
    score = (1 - own) * agreed + own * pairs[0].saliency
    height, width = frame.shape[:2]
    full = cv2.resize(
        score.reshape(pairs[0].flow.shape[:2]).astype(np.float32),
        (width, height),
    )
    return full > settings.threshold, {
        "planes": float(np.mean([pair.num_planes for pair in pairs])),
        "flow_trusted": float(weight.mean()),
    }
