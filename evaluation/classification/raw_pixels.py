"""Raw pixels in place of a trunk: the floor under every table."""

from __future__ import annotations

import dataclasses
import hashlib

import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class RawPixels:
    """Pictures themselves as features, at a side that keeps them few.

    Attributes:
        side_px: of the picture that becomes the feature vector; 28 gives
            2352 features, about what the tiny trunk has.
    """

    side_px: int = 28

    @property
    def source(self) -> str:
        return "pixels"

    @property
    def config(self) -> dict[str, int]:
        return dataclasses.asdict(self)

    @property
    def digest(self) -> str:
        """Of the settings: there are no weights."""
        return hashlib.sha256(repr(self).encode()).hexdigest()

    def extract(self, images: tf.Tensor) -> tf.Tensor:
        """Shrinks and flattens: uint8 [B, H, W, 3] to float32 [B, 1, D]."""
        small = tf.image.resize(
            tf.cast(images, tf.float32),
            (self.side_px, self.side_px),
            antialias=True,
        )
        return tf.reshape(small, [-1, 1, 3 * self.side_px**2])
