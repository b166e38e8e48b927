"""Relative position: where does the second patch lie beside the first?

Doersch, Gupta and Efros, "Unsupervised Visual Representation Learning by
Context Prediction", ICCV 2015 (reference [7] of the paper, sec. 2). Two
patches of one picture, taken from adjacent points of a grid whose origin is
random; the answer is one of eight directions.

Our deviations: the head (the paper's is in an appendix that could not be had)
is a layer per patch, concatenation and two more layers; colour dropping adds
Gaussian noise as the article says, where its code adds uniform noise.
"""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses
from typing import Any, ClassVar

import numpy as np

from mtssl_tf import settings
from mtssl_tf.data import drop_colors
from mtssl_tf.data import resize
from mtssl_tf.lazy_imports import keras
from mtssl_tf.lazy_imports import tf
from mtssl_tf.tasks import base
from mtssl_tf.tasks import classification
from mtssl_tf.tasks import drawing
from mtssl_tf.tasks import heads
from mtssl_tf.tasks import words as words_lib

# (dy, dx) of the second patch in grid steps; the index is the target.
DIRECTIONS = (
    (-1, -1),
    (-1, 0),
    (-1, 1),
    (0, -1),
    (0, 1),
    (1, -1),
    (1, 0),
    (1, 1),
)
_ARROWS = ("NW", "N", "NE", "W", "E", "SW", "S", "SE")

_COARSE_MIN_PX = 10  # release: deepcontext, 100 pixels in all


@dataclasses.dataclass(frozen=True)
class RelativePositionConfig(base.TaskConfig):
    """Options of relative position.

    Attributes:
        min_short_side_px: the picture is scaled to a random size from here,
        max_short_side_px: to here, so that no scale gives a patch away.
        patch_px: side of a patch.
        gap_px: between patches, so that no edge continues across.
        jitter_px: each patch is moved by up to this in y and x, so that
            straight lines give nothing away either.
        coarse_probability: share of the patches that are shrunk and enlarged
            again, against traces of resampling.
        hidden_units: width of the head's fully connected layers.
    """

    min_short_side_px: int = settings.ranged(300, at_least=1)
    max_short_side_px: int = settings.ranged(500, at_least=1)
    patch_px: int = settings.ranged(96, at_least=1)
    gap_px: int = settings.ranged(48, at_least=0)
    jitter_px: int = settings.ranged(7, at_least=0)
    # release: deepcontext
    coarse_probability: float = settings.ranged(1 / 3, at_least=0, at_most=1)
    hidden_units: int = settings.ranged(1024, at_least=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        room = 2 * (self.patch_px + self.jitter_px) + self.gap_px
        if self.min_short_side_px < room:
            raise ValueError(
                f"min_short_side_px={self.min_short_side_px} leaves no room "
                f"for two patches with gap and jitter ({room} pixels). Raise "
                "it, or lower patch_px, gap_px or jitter_px."
            )
        if self.max_short_side_px < self.min_short_side_px:
            raise ValueError(
                f"max_short_side_px={self.max_short_side_px} is under "
                f"min_short_side_px={self.min_short_side_px}."
            )


class RelativePosition(classification.Classification):
    """Two patches in, one of eight directions out."""

    name: ClassVar[str] = "relative_position"
    source: ClassVar[str] = "images"
    abbreviation: ClassVar[str] = "RP"
    words: ClassVar[words_lib.TaskWords] = words_lib.TaskWords(
        question="Where does the second patch lie beside the first?",
        shows="first patch, second patch, and both as they truly lie",
        result=(
            "It names the right one of eight directions {accuracy:.1%} "
            "of the time, a blind guess {chance_accuracy:.1%}."
        ),
        share_right="accuracy",
    )
    side_setting: ClassVar[str | None] = "max_short_side_px"
    Config: ClassVar[type[base.TaskConfig]] = RelativePositionConfig
    is_harmonized: ClassVar[bool] = True
    presets: ClassVar[Mapping[str, base.TaskConfig]] = {
        "tiny": RelativePositionConfig(
            min_short_side_px=144,
            max_short_side_px=160,
            patch_px=48,
            gap_px=10,
            jitter_px=4,
            # Of 48 pixels coarsening leaves too little to see in minutes.
            coarse_probability=0.0,
            hidden_units=256,
        ),
        "small": RelativePositionConfig(
            min_short_side_px=224,
            max_short_side_px=288,
            patch_px=80,
            gap_px=24,
            jitter_px=6,
            hidden_units=512,
        ),
        # patch, gap and jitter: release (deepcontext); 96-pixel patches of
        # pictures of 150k to 450k pixels. The rest is ours.
        "paper": RelativePositionConfig(
            min_short_side_px=330, max_short_side_px=570, learning_rate=1e-4
        ),
    }

    def cut(
        self, example: dict[str, tf.Tensor], seed: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """Cuts two adjacent patches; `target` is int32 [], the direction."""
        image = example["image"]
        share = tf.random.stateless_uniform([12], seed)
        short_side = resize.between(
            self.config.min_short_side_px,
            self.config.max_short_side_px,
            share[0],
        )
        direction = resize.between(0, len(DIRECTIONS) - 1, share[1])
        corners = self._corners(
            resize.scaled_size(image, short_side), direction, share[2:8]
        )
        views = resize.cut_patches(
            image,
            short_side,
            corners,
            self.config.patch_px,
            self._coarse_px(tf.reshape(share[8:], [2, 2])),
        )
        return {"views": views, "target": direction}

    def _corners(
        self, size: tf.Tensor, direction: tf.Tensor, share: tf.Tensor
    ) -> tf.Tensor:
        """Returns corners of the first patch and the one in `direction` of it.

        Args:
            size: int32 [2], of the picture.
            direction: int32 [].
            share: float32 [6], uniform in [0, 1).

        Returns:
            int32 [2, 2], (y, x) each.
        """
        config = self.config
        step = tf.gather(tf.constant(DIRECTIONS), direction)
        offset = step * (config.patch_px + config.gap_px)
        # The corner of the first patch must leave room for the second, and
        # both for their jitter.
        low = config.jitter_px + tf.maximum(0, -offset)
        high = size - config.patch_px - config.jitter_px - tf.maximum(0, offset)
        first = low + resize.corner_in_room(high - low, share[:2])
        jitter = resize.corner_in_room(
            tf.fill([4], 2 * config.jitter_px), share[2:]
        )
        jitter = tf.reshape(jitter, [2, 2]) - config.jitter_px
        return tf.stack([first, first + offset]) + jitter

    def _coarse_px(self, share: tf.Tensor) -> tf.Tensor:
        """Returns to what side patches are shrunk, against resampling traces.

        Args:
            share: float32 [2, 2], uniform in [0, 1), two for each patch.

        Returns:
            int32 [2]; `patch_px` for those that stay as they are.
        """
        side = self.config.patch_px
        coarse = resize.between(
            min(_COARSE_MIN_PX, side), side - 1, share[:, 1]
        )
        return tf.where(
            share[:, 0] < self.config.coarse_probability, coarse, side
        )

    def color(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Drops colours, or turns patches grey (paper, sec. 3.3)."""
        views = keras.ops.cast(batch["views"], "float32")
        if not self.config.grey_input:
            views = drop_colors.drop_colors(views, batch["seed"])
        return {
            "views": self.to_trunk_input(views),
            "target": batch["target"],
        }

    def build_head(self, features: keras.KerasTensor) -> keras.KerasTensor:
        """Returns logits float32 [B, 8] (layout: ours)."""
        width = self.config.hidden_units
        x = heads.norm_relu(features, "head_features")
        x = heads.flatten(x)  # [B * 2, h' * w' * C]
        x = heads.hidden_dense(x, width, "head_patch")
        x = keras.ops.reshape(x, (-1, 2 * width))  # [B, 2 * width]
        x = heads.hidden_dense(x, width, "head_hidden")
        return heads.logits(x, self.num_classes)

    @property
    def num_classes(self) -> int:
        return len(DIRECTIONS)

    def draw(
        self, views: np.ndarray, target: np.ndarray, prediction: np.ndarray
    ) -> np.ndarray:
        """First patch, second patch, and both where they truly lie."""
        rows = []
        for pair, truth, logits in zip(
            self.to_displayed(views), target, prediction
        ):
            text = f"{_ARROWS[truth]}, said {_ARROWS[int(np.argmax(logits))]}"
            placed = self._place(pair, DIRECTIONS[truth])
            rows.append(drawing.row([*pair, placed], text))
        return np.concatenate(rows)

    def _place(
        self, pair: np.ndarray, direction: tuple[int, int]
    ) -> np.ndarray:
        """Returns both patches in a 3x3 grid, the first in the centre."""
        side = self.config.patch_px
        grid = np.full((3 * side, 3 * side, 3), 255, np.uint8)
        for patch, (dy, dx) in zip(pair, ((0, 0), direction)):
            y, x = (1 + dy) * side, (1 + dx) * side
            grid[y : y + side, x : x + side] = patch
        return grid
