"""Clips whose motion is known, for the motion tests."""

import cv2
import numpy as np


def texture(height: int, width: int, seed: int) -> np.ndarray:
    """Returns a smooth random picture, uint8 [H, W, 3]."""
    noise = np.random.default_rng(seed).uniform(0, 255, (height, width, 3))
    blurred = cv2.GaussianBlur(noise, (0, 0), 2.0)
    low, high = blurred.min(), blurred.max()
    return ((blurred - low) / (high - low) * 255).astype(np.uint8)


def panning_clip(
    num_frames: int = 14,
    size: tuple[int, int] = (120, 160),
    camera_px: float = 2.0,
    object_px: float = 2.5,
) -> tuple[np.ndarray, np.ndarray]:
    """A camera pans over a texture; a red disk moves by itself.

    Returns:
        uint8 [T, H, W, 3] RGB frames and bool [T, H, W] true masks.
    """
    height, width = size
    world = texture(height + 20, width + 10 * num_frames, seed=0)
    skin = texture(height, width, seed=1) // 2 + np.uint8([120, 0, 0])
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    frames, masks = [], []
    for index in range(num_frames):
        shift = np.float32([[1, 0, -camera_px * index], [0, 1, -10]])
        frame = cv2.warpAffine(world, shift, (width, height))
        # (x, y) of the disk; it moves against the camera and down.
        center = (50 + object_px * index, 40 + 1.5 * index)
        mask = np.hypot(x - center[0], y - center[1]) < 18
        moved = np.float32([[1, 0, center[0] - 50], [0, 1, center[1] - 40]])
        frame[mask] = cv2.warpAffine(
            skin, moved, (width, height), borderMode=cv2.BORDER_REFLECT
        )[mask]
        frames.append(frame)
        masks.append(mask)
    return np.stack(frames), np.stack(masks)


def save_frames(folder, frames: np.ndarray, start: int = 0) -> None:
    """Writes frames as numbered PNG files."""
    folder.mkdir(parents=True, exist_ok=True)
    for index, frame in enumerate(frames, start):
        bgr = cv2.cvtColor(frame, cv2.COLOR_RGB2BGR)
        cv2.imwrite(str(folder / f"{index:05d}.png"), bgr)


def save_video(path, frames: np.ndarray) -> None:
    """Writes frames as a Motion-JPEG AVI file."""
    height, width = frames.shape[1:3]
    codec = cv2.VideoWriter.fourcc(*"MJPG")
    writer = cv2.VideoWriter(str(path), codec, 25, (width, height))
    for frame in frames:
        writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
    writer.release()


def intersection_over_union(mask: np.ndarray, truth: np.ndarray) -> float:
    return (mask & truth).sum() / (mask | truth).sum()
