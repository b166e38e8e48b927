"""Dense tracks over a window, and IDT's rules for dropping them."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np

from mtssl_tf.motion import config as motion_config
from mtssl_tf.motion import flow


@dataclasses.dataclass(frozen=True)
class Tracks:
    """Points followed over a window of `steps` pairs of frames.

    Attributes:
        points: float32 [steps + 1, N, 2]: (x, y) in px.
        residuals: float32 [steps, N, 2]: motion left after the camera's, px.
        is_inside: bool [N]: never left the frame.
    """

    points: np.ndarray
    residuals: np.ndarray
    is_inside: np.ndarray


def sampling_points(
    grey: np.ndarray, step_px: int, quality: float
) -> tuple[np.ndarray, np.ndarray]:
    """Samples a frame on a grid and says where there is texture to follow.

    Args:
        grey: uint8 [H, W].
        step_px: distance of the grid's points.
        quality: share of the largest corner strength that a point needs.

    Returns:
        float32 [n, m, 2] points, (x, y) in px, and bool [n, m] texture.
    """
    height, width = grey.shape
    x = np.arange(step_px // 2, width, step_px)
    y = np.arange(step_px // 2, height, step_px)
    strength = cv2.cornerMinEigenVal(grey, 3, ksize=3)
    at_points = strength[np.ix_(y, x)]
    has_texture = at_points > quality * strength.max()
    points = np.stack(np.meshgrid(x, y), axis=-1).astype(np.float32)
    return points, has_texture


def follow(
    points: np.ndarray, fields: list[np.ndarray], factor: float = 1.0
) -> Tracks:
    """Follows points along flows, reading the residual motion underway.

    Args:
        points: float32 [N, 2], (x, y) in full-size px.
        fields: each float32 [h, w, 4]: flow and residual flow, in full-size
            px though the field itself may be smaller.
        factor: full size / the fields' size.
    """
    path = [points]
    left = []
    for field in fields:
        both = flow.sampled(field, path[-1] / factor)
        path.append(path[-1] + both[:, :2])
        left.append(both[:, 2:])
    track = np.stack(path)
    height, width = fields[0].shape[:2]
    limit = np.array([width, height], np.float32) * factor - 1
    is_inside = np.all((track >= 0) & (track <= limit), axis=(0, 2))
    return Tracks(track, np.stack(left), np.asarray(is_inside))


def dropped(
    tracks: Tracks, config: motion_config.IdtConfig
) -> dict[str, np.ndarray]:
    """Returns IDT's reasons to drop a track, each bool [N].

    'static': hardly moves; 'random': moves wildly; 'jump': most of its length
    is one step; 'left': leaves the frame.
    """
    std = tracks.points.std(axis=0)  # [N, 2]
    steps = np.linalg.norm(np.diff(tracks.points, axis=0), axis=-1)
    longest = steps.max(axis=0)  # [N]
    is_jump = (longest > config.max_step_px) & (
        longest > config.max_step_share * steps.sum(axis=0)
    )
    return {
        "static": (std < config.min_std_px).all(axis=-1),
        "random": (std > config.max_std_px).any(axis=-1),
        "jump": is_jump,
        "left": ~tracks.is_inside,
    }


def is_camera_motion(tracks: Tracks, camera_px: float) -> np.ndarray:
    """Returns bool [N]: no step is left with motion of its own."""
    largest = np.linalg.norm(tracks.residuals, axis=-1).max(axis=0)
    return largest <= camera_px
