"""Frames of one clip as views, for tasks about their order in time.

Every frame is seen by itself, as a picture is, and the head compares them: so
the trunk is one of pictures. What would tell an order without a look at what
moves, and is blocked: pixels that can be followed from frame to frame (each
view is moved by a few pixels on its own), and light that grows or fades (each
view's colours are changed on their own).
"""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

from mtssl_tf import settings
from mtssl_tf.data import distort
from mtssl_tf.data import resize
from mtssl_tf.lazy_imports import keras
from mtssl_tf.lazy_imports import tf
from mtssl_tf.tasks import base
from mtssl_tf.tasks import classification
from mtssl_tf.tasks import heads

NUM_FRAMES = 8  # ours: of which views are chosen; half of a short clip's part


@dataclasses.dataclass(frozen=True)
class ClipFramesConfig(base.TaskConfig):
    """Options of a task about the order of frames.

    Attributes:
        short_side_px: frames are scaled to this first.
        crop_px: side of the square that is cut from all of them.
        jitter_px: each view is moved by up to this in y and x.
        color_strength: of the colour distortions (`data/distort.py`), other
            ones for each view.
        hidden_units: width of the head's fully connected layers.
    """

    short_side_px: int = settings.ranged(256, at_least=1)
    crop_px: int = settings.ranged(224, at_least=1)
    jitter_px: int = settings.ranged(8, at_least=0)
    color_strength: float = settings.ranged(0.4, at_least=0, at_most=1)
    hidden_units: int = settings.ranged(1024, at_least=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        room = self.crop_px + 2 * self.jitter_px
        if room > self.short_side_px:
            raise ValueError(
                f"short_side_px={self.short_side_px} leaves no room for "
                f"crop_px={self.crop_px} with jitter_px={self.jitter_px} on "
                f"both sides ({room} pixels)."
            )


class ClipFrames(classification.Classification):
    """Frames of a clip in, what is said of their order out."""

    source: ClassVar[str] = "videos"
    side_setting: ClassVar[str | None] = "short_side_px"
    num_frames: ClassVar[int] = NUM_FRAMES

    def color(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Changes the colours of each frame on its own."""
        views = recolored(self.config, batch)
        return {"views": self.to_trunk_input(views), "target": batch["target"]}


def num_shares(num_views: int) -> int:
    """Returns how many random numbers `cut` takes."""
    return 3 + 2 * num_views


def chosen(num_views: int, share: tf.Tensor) -> tf.Tensor:
    """Returns which frames are shown, in the order of time.

    Args:
        num_views: how many, at most `NUM_FRAMES`.
        share: float32 [NUM_FRAMES], uniform in [0, 1).

    Returns:
        int32 [num_views], ascending and all different.
    """
    return tf.sort(tf.argsort(share)[:num_views])


def cut(
    config: ClipFramesConfig,
    frames: tf.Tensor,
    numbers: tf.Tensor,
    share: tf.Tensor,
) -> tf.Tensor:
    """Cuts the same square out of some frames, each a little moved.

    Args:
        config: options of the task.
        frames: uint8 [NUM_FRAMES, H, W, 3].
        numbers: int32 [V], the frames to show, V known.
        share: float32 [num_shares(V)], uniform in [0, 1).

    Returns:
        uint8 [V, crop_px, crop_px, 3].
    """
    first, jitter = frames[0], config.jitter_px
    room = resize.scaled_size(first, config.short_side_px)
    room -= config.crop_px + 2 * jitter
    corner = resize.corner_in_room(room, share[:2])
    moves = resize.corner_in_room(
        tf.fill([2 * numbers.shape[0]], 2 * jitter), share[3:]
    )
    corners = corner + tf.reshape(moves, [-1, 2])
    views = tf.concat(
        [
            resize.cut_patches(
                frames[number],
                config.short_side_px,
                corners[view : view + 1],
                config.crop_px,
            )
            for view, number in enumerate(tf.unstack(numbers))
        ],
        axis=0,
    )
    return tf.where(share[2] < 0.5, views, views[:, :, ::-1])


def recolored(config: ClipFramesConfig, batch: dict[str, Any]) -> Any:
    """Changes colours as `distort.recolored`, each view's on its own."""
    return distort.recolored(
        batch["views"], config.color_strength, batch["seed"]
    )


def build_sequences(
    features: keras.KerasTensor, width: int, length: int
) -> keras.KerasTensor:
    """Builds a layer for each frame, and puts those of a sequence together.

    Args:
        features: float [B * V, h', w', C].
        width: of the layer.
        length: frames of a sequence, beside each other in V.

    Returns:
        float [B * V / length, length * width].
    """
    x = heads.norm_relu(features, "head_features")
    x = heads.flatten(x)  # what moves is told by where it is
    x = heads.hidden_dense(x, width, "head_frame")
    return keras.ops.reshape(x, (-1, length * width))
