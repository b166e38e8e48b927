"""Settings of the motion masks, and the digest that names them.

Constants are tagged with their origin: *paper* (Doersch and Zisserman 2017,
sec. 2), *release* (the Improved Dense Trajectories code and its publications,
Wang and Schmid 2013) or *ours*.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json

METHODS = ("refined", "idt")
# Raised by hand whenever the same settings would give another mask.
ALGORITHM_VERSION = 3  # ours


@dataclasses.dataclass(frozen=True)
class CutConfig:
    """When a frame or a pair of frames can't be trusted. All *ours*."""

    # A frame whose 99th percentile of grey is below this is black.
    black_level: float = 16.0
    # A frame has no texture to follow if fewer than this share of its pixels
    # differ from their neighbour by at least so many grey levels.
    edge_levels: int = 6
    min_edge_share: float = 0.005
    # A step of the mean grey level above this is a flash.
    flash_levels: float = 40.0
    # A pair is a cut if, after the flow has aligned it, the mean absolute grey
    # difference is above this share of the contrast (std) of the frame...
    cut_error: float = 0.75
    # ...or if the correlation of the colour histograms is below this and the
    # error is above half of the limit.
    cut_histogram_correlation: float = 0.3


@dataclasses.dataclass(frozen=True)
class CameraConfig:
    """How the camera's homography is fitted to a pair of frames."""

    ransac_px: float = 1.0  # release: RANSAC at 1 px
    min_matches: int = 50  # release: more than 50 matches
    min_inliers: int = 25  # release: more than 25 inliers
    max_corners: int = 1000  # release: flow matches at corners
    corner_quality: float = 0.001  # release: goodFeaturesToTrack
    corner_distance_px: int = 5  # release
    max_keypoints: int = 500  # ours: the release takes every SURF point
    # A homography between two frames of a film is close to a similarity;
    # anything stretching areas by more than this is degenerate.
    max_area_ratio: float = 2.0  # ours
    max_perspective: float = 0.3  # ours: change of scale over the frame


@dataclasses.dataclass(frozen=True)
class IdtConfig:
    """Improved Dense Trajectories, as the paper uses them."""

    sampling_step_px: int = 5  # release: W
    corner_quality: float = 0.001  # release
    num_scales: int = 8  # release
    scale_stride: float = 2.0**0.5  # release
    min_side_px: int = 48  # ours: a smaller scale holds no flow window
    median_px: int = 5  # release: median filter of the flow
    flow_window_px: int = 10  # release: Farneback
    flow_iterations: int = 2  # release
    flow_poly_n: int = 7  # release
    flow_poly_sigma: float = 1.5  # release
    min_std_px: float = 3.0**0.5  # release: static
    max_std_px: float = 50.0  # release: random
    max_step_px: float = 20.0  # release: jump
    max_step_share: float = 0.7  # release: jump
    camera_px: float = 1.0  # release: <= 1 px after warping is the camera
    # A pixel moves if this share of the tracks around it does; "around" is a
    # Gaussian of so many steps of the finest grid.
    vote_share: float = 0.7  # ours
    vote_blur_steps: float = 2.0  # ours


@dataclasses.dataclass(frozen=True)
class PlanesConfig:
    """Planes of the static world. All *ours*; px of the working size."""

    step_px: int = 4  # between flow samples
    ransac_px: float = 0.075
    max_planes: int = 4
    min_share: float = 0.03  # of the samples, for a further plane
    border_steps: int = 2  # samples this near the edge are the border
    min_border: float = 0.6  # share at the border, relative to the frame's


@dataclasses.dataclass(frozen=True)
class SaliencyConfig:
    """How surely a pixel moves. All *ours*; px of the working size."""

    consistency_px: float = 0.5  # there and back may miss by this...
    consistency_share: float = 0.05  # ...and this share of the motion squared
    min_confidence: float = 0.5
    blur_px: float = 0.7
    min_residual_px: float = 0.125
    fastest_share: float = 0.25
    median_factor: float = 3.0


@dataclasses.dataclass(frozen=True)
class ConsensusConfig:
    """Cells of the vote. All *ours*; px of the working size, 8-bit Lab."""

    cell_px: int = 16
    cell_lightness: int = 16
    cell_chroma: int = 8
    chroma_range: tuple[int, int] = (96, 160)
    prior_votes: float = 0.5  # against motion, in every cell


@dataclasses.dataclass(frozen=True)
class RefinedConfig:
    """The method that measures best (docs/motion_masks.md). All *ours*."""

    short_side_px: int = 90  # working size
    own_share: float = 0.15  # of a pixel's own saliency in its score
    threshold: float = 0.34  # of the score
    planes: PlanesConfig = PlanesConfig()
    saliency: SaliencyConfig = SaliencyConfig()
    consensus: ConsensusConfig = ConsensusConfig()


@dataclasses.dataclass(frozen=True)
class MotionConfig:
    """What decides a mask."""

    method: str = "refined"
    window_frames: int = 10  # paper, sec. 2: tracked steps
    cut: CutConfig = CutConfig()
    camera: CameraConfig = CameraConfig()
    idt: IdtConfig = IdtConfig()
    refined: RefinedConfig = RefinedConfig()

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ValueError(
                f"Unknown method {self.method!r}. Known: {', '.join(METHODS)}."
            )
        if self.window_frames < 2:
            raise ValueError(
                "window_frames counts tracked steps and must be at least 2, so "
                f"that a track has a shape. Got {self.window_frames}."
            )


@functools.cache  # a third of the time that reading a labelled frame took
def config_digest(config: MotionConfig) -> str:
    """Returns 16 hex digits that change with any setting or the algorithm."""
    settings = {"algorithm": ALGORITHM_VERSION, **dataclasses.asdict(config)}
    text = json.dumps(settings, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
