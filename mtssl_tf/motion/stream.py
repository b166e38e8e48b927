"""Masks of a film, frame by frame, in memory bounded by the window."""

from __future__ import annotations

import collections
from collections.abc import Iterable, Iterator
import dataclasses
import time
from types import ModuleType
from typing import Any

import cv2
import numpy as np

from mtssl_tf.motion import config as motion_config
from mtssl_tf.motion import idt
from mtssl_tf.motion import refined
from mtssl_tf.motion import trust

_METHODS: dict[str, ModuleType] = {"idt": idt, "refined": refined}
MIN_SIDE_PX = 32  # ours: below this the flow's windows exceed the frame


@dataclasses.dataclass(frozen=True)
class MotionMask:
    """What moves by itself in one frame.

    Attributes:
        moving: bool [H, W]; all False where `is_known` is False.
        is_known: False where the film can't tell.
        reason: '' or why it can't tell.
        statistics: by name: `share_moving`, `camera_inliers`, and what the
            method adds (shares of tracks dropped).
    """

    moving: np.ndarray
    is_known: bool
    reason: str = ""
    statistics: dict[str, float] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class _Step:
    """A frame and its motion to the next; `problem` says why there is none."""

    frame: np.ndarray
    pair: Any
    problem: str


def iterate_masks(
    frames: Iterable[np.ndarray], config: motion_config.MotionConfig
) -> Iterator[tuple[int, np.ndarray, MotionMask]]:
    """Yields every frame of a film with its mask.

    A mask needs the `window_frames` frames that follow; it is unknown for the
    film's last ones, and wherever the window holds a cut, a flash, a black
    frame or a camera that can't be estimated.

    Args:
        frames: uint8 [H, W, 3] RGB, all of one size.
        config: decides the masks.

    Yields:
        The frame's index, the frame, its mask.
    """
    method = _METHODS[config.method]
    window: collections.deque[_Step] = collections.deque()
    index = 0
    previous = None
    for frame in frames:
        _check_frame(frame, previous)
        if previous is not None:
            window.append(_analyse(method, previous, frame, config))
        previous = frame
        if len(window) == config.window_frames:
            yield index, window[0].frame, _window_mask(method, window, config)
            window.popleft()
            index += 1
    rest = [step.frame for step in window]
    for frame in rest + ([] if previous is None else [previous]):
        reason = f"fewer than {config.window_frames} frames follow"
        yield index, frame, _unknown(frame, reason)
        index += 1


def moving_mask(
    frames: np.ndarray,
    config: motion_config.MotionConfig = motion_config.MotionConfig(),
) -> MotionMask:
    """Returns what moves by itself in the first frame.

    Args:
        frames: uint8 [T, H, W, 3] RGB. Those after the window are not read.
        config: decides the mask.
    """
    if frames.ndim != 4 or frames.shape[0] == 0:
        raise ValueError(
            "moving_mask needs uint8 [T, H, W, 3] with T >= 1. "
            f"Got shape {frames.shape}."
        )
    _, _, mask = next(iterate_masks(frames, config))
    return mask


def bare_flow_seconds(
    frames: Iterable[np.ndarray], config: motion_config.MotionConfig
) -> float:
    """Returns how long the method's flow takes by itself, in seconds.

    What surrounds it (decoding, grey values) is not counted.

    Args:
        frames: uint8 [H, W, 3] RGB, all of one size.
        config: names the method.
    """
    method = _METHODS[config.method]
    seconds = 0.0
    previous = None
    for frame in frames:
        grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
        if previous is not None:
            start_s = time.perf_counter()
            method.bare_flow(previous, grey, config)
            seconds += time.perf_counter() - start_s
        previous = grey
    return seconds


def _check_frame(frame: np.ndarray, previous: np.ndarray | None) -> None:
    if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
        raise ValueError(
            "Frames must be uint8 [H, W, 3] RGB. "
            f"Got {frame.dtype} {frame.shape}."
        )
    if previous is not None and frame.shape != previous.shape:
        raise ValueError(
            "Frames of one film must have one size. Got "
            f"{frame.shape} after {previous.shape}; split the film there."
        )


def _analyse(
    method: ModuleType,
    previous: np.ndarray,
    following: np.ndarray,
    config: motion_config.MotionConfig,
) -> _Step:
    if min(previous.shape[:2]) < MIN_SIDE_PX:
        return _Step(previous, None, f"frame below {MIN_SIDE_PX} px")
    problem = trust.frame_problem(previous, config.cut) or trust.frame_problem(
        following, config.cut
    )
    if problem:
        return _Step(previous, None, problem)
    pair = method.analyse_pair(previous, following, config)
    problem = trust.pair_problem(previous, following, pair.flow, config.cut)
    if not problem and not pair.camera.is_estimated:
        problem = "camera can't be estimated"
    return _Step(previous, pair, problem)


def _window_mask(
    method: ModuleType,
    window: collections.deque[_Step],
    config: motion_config.MotionConfig,
) -> MotionMask:
    frame = window[0].frame
    problems = [step.problem for step in window if step.problem]
    if problems:
        return _unknown(frame, problems[0])
    pairs = [step.pair for step in window]
    moving, statistics = method.window_mask(frame, pairs, config)
    inliers = [pair.camera.inlier_share for pair in pairs]
    statistics["share_moving"] = float(moving.mean())
    statistics["camera_inliers"] = float(np.mean(inliers))
    return MotionMask(moving, True, "", statistics)


def _unknown(frame: np.ndarray, reason: str) -> MotionMask:
    return MotionMask(np.zeros(frame.shape[:2], bool), False, reason)
