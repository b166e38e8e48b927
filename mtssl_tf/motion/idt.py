"""The paper's masks: Improved Dense Trajectories over 10 frames (sec. 2).

Deviations from the released IDT code: ORB in place of the patented SURF; the
coarser scales take the finest scale's flow, averaged, where the release reads
each level of one coarse-to-fine pass; and every track starts at the frame that
the mask is for.

IDT follows corners; the paper wants a value for every pixel. A point that has
no texture, or whose track was dropped as static, random or jumping, is not
evidence of motion and counts as camera. A pixel moves if most tracks near it,
over all scales, do (*ours*).
"""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np

from mtssl_tf.motion import camera as camera_lib
from mtssl_tf.motion import config as motion_config
from mtssl_tf.motion import flow as flow_lib
from mtssl_tf.motion import tracks as tracks_lib


@dataclasses.dataclass(frozen=True)
class IdtPair:
    """Motion between two frames.

    Attributes:
        fields: one a scale, float32 [h, w, 4]: flow, and flow once the camera
            is undone; both in full-size px.
        camera: the homography that was undone.
    """

    fields: list[np.ndarray]
    camera: camera_lib.Camera

    @property
    def flow(self) -> np.ndarray:
        """float32 [H, W, 2], px."""
        return self.fields[0][..., :2]


def analyse_pair(
    previous: np.ndarray,
    following: np.ndarray,
    config: motion_config.MotionConfig,
) -> IdtPair:
    """Computes flow, camera and the flow that the camera leaves.

    Args:
        previous: uint8 [H, W, 3] RGB.
        following: uint8 [H, W, 3] RGB.
    """
    first = cv2.cvtColor(previous, cv2.COLOR_RGB2GRAY)
    second = cv2.cvtColor(following, cv2.COLOR_RGB2GRAY)
    flow = flow_lib.farneback_flow(first, second, config.idt)
    by_flow = camera_lib.flow_matches(first, flow, config.camera)
    by_keypoint = camera_lib.keypoint_matches(
        camera_lib.keypoints(first, config.camera),
        camera_lib.keypoints(second, config.camera),
    )
    camera = camera_lib.estimate_camera(
        np.concatenate([by_flow[0], by_keypoint[0]]),
        np.concatenate([by_flow[1], by_keypoint[1]]),
        first.shape,
        config.camera,
    )
    residual = _residual(first, second, camera, config)
    both = np.concatenate([flow, residual], axis=-1)
    return IdtPair(_pyramid(both, config), camera)


def bare_flow(
    previous: np.ndarray,
    following: np.ndarray,
    config: motion_config.MotionConfig,
) -> None:
    """Computes as much flow as `analyse_pair`, to measure speed against.

    Args:
        previous: uint8 [H, W], grey.
        following: uint8 [H, W], grey.
    """
    flow_lib.farneback_flow(previous, following, config.idt)
    flow_lib.farneback_flow(previous, following, config.idt)


def _pyramid(
    field: np.ndarray, config: motion_config.MotionConfig
) -> list[np.ndarray]:
    """Returns a field at all scales, each shrunk from the one before."""
    height, width = field.shape[:2]
    scales = [field]
    for scale in range(1, flow_lib.num_scales((height, width), config.idt)):
        size = _size_at((height, width), config.idt.scale_stride**scale)
        scales.append(_shrunk(scales[-1], size))
    return scales


def _size_at(size: tuple[int, ...], factor: float) -> tuple[int, int]:
    """Returns (w, h) for (H, W)."""
    return round(size[1] / factor), round(size[0] / factor)


def _shrunk(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)


def _residual(
    first: np.ndarray,
    second: np.ndarray,
    camera: camera_lib.Camera,
    config: motion_config.MotionConfig,
) -> np.ndarray:
    """Returns the flow to the second frame seen by the first's camera."""
    height, width = first.shape
    undone = cv2.warpPerspective(
        second,
        camera.homography,
        (width, height),
        # What the second frame does not show stays as it was: no motion.
        dst=first.copy(),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_TRANSPARENT,
    )
    return flow_lib.farneback_flow(first, undone, config.idt)


def window_mask(
    frame: np.ndarray, pairs: list[IdtPair], config: motion_config.MotionConfig
) -> tuple[np.ndarray, dict[str, float]]:
    """Marks the pixels of a frame that IDT does not ascribe to the camera.

    Args:
        frame: uint8 [H, W, 3] RGB, the first of the window.
        pairs: motion between the window's neighbours.

    Returns:
        bool [H, W], and shares that are dropped: of the points for lack of
        texture, of the tracks from the others for each other reason.
    """
    grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
    votes: list[np.ndarray] = []
    shares: dict[str, list[float]] = {}
    for scale in range(flow_lib.num_scales(grey.shape, config.idt)):
        at_scale, drops = _scale_mask(grey, pairs, scale, config)
        finest = votes[0] if votes else at_scale
        votes.append(cv2.resize(at_scale, finest.shape[::-1]))
        for name, share in drops.items():
            shares.setdefault(name, []).append(share)
    # A single track errs easily: scales and neighbours vote on each pixel.
    agreed = cv2.GaussianBlur(
        np.mean(votes, axis=0), (0, 0), config.idt.vote_blur_steps
    )
    moving = cv2.resize(agreed, grey.shape[::-1]) > config.idt.vote_share
    statistics = {f"dropped_{k}": float(np.mean(v)) for k, v in shares.items()}
    return moving, statistics


def _scale_mask(
    grey: np.ndarray,
    pairs: list[IdtPair],
    scale: int,
    config: motion_config.MotionConfig,
) -> tuple[np.ndarray, dict[str, float]]:
    """Returns float32 [n, m] of 0 or 1 on a scale's grid, and drop shares."""
    factor = config.idt.scale_stride**scale
    # The grid is W px apart at its own scale; coordinates stay full-size,
    # which is what IDT converts them to before it applies its limits.
    points, has_texture = tracks_lib.sampling_points(
        _shrunk(grey, _size_at(grey.shape, factor)),
        config.idt.sampling_step_px,
        config.idt.corner_quality,
    )
    # A point without texture is no evidence, wherever it would go.
    tracks = tracks_lib.follow(
        points[has_texture] * factor,
        [pair.fields[scale] for pair in pairs],
        factor,
    )
    drops = tracks_lib.dropped(tracks, config.idt)
    is_dropped = np.any(list(drops.values()), axis=0)
    is_camera = tracks_lib.is_camera_motion(tracks, config.idt.camera_px)
    moving = np.zeros(has_texture.shape, np.float32)
    moving[has_texture] = ~is_dropped & ~is_camera
    drops["texture"] = ~has_texture
    return moving, {
        name: float(is_set.mean()) if is_set.size else 0.0
        for name, is_set in drops.items()
    }
