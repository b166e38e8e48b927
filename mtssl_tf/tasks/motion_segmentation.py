"""Motion segmentation: which pixels of this frame will move?

Pathak et al., "Learning Features by Watching Objects Move", CVPR 2017
(reference [27] of the paper, sec. 2), with labels from tracks over 10 frames
from which the camera's own motion is taken out (`mtssl_tf.motion`).

Our deviations: the head's layout; a label pixel is the share of its 8 by 8
pixels that move, where the paper down-samples to one of two values (as
`hard_labels` does).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
import dataclasses
import math
from typing import Any, ClassVar

import numpy as np

from mtssl_tf import settings
from mtssl_tf.data import distort
from mtssl_tf.data import resize
from mtssl_tf.lazy_imports import keras
from mtssl_tf.lazy_imports import tf
from mtssl_tf.models import input_contract
from mtssl_tf.tasks import base
from mtssl_tf.tasks import drawing
from mtssl_tf.tasks import heads
from mtssl_tf.tasks import per_place
from mtssl_tf.tasks import words as words_lib

# ours: until data says otherwise; keeps logits finite on still clips too.
_MIN_SHARE = 1e-3


@dataclasses.dataclass(frozen=True)
class MotionSegmentationConfig(base.TaskConfig):
    """Options of motion segmentation.

    Attributes:
        min_short_side_px: the frame is scaled to a random size from here,
        max_short_side_px: to here: there are fewer clips than pictures, and
            a network soon knows each by heart.
        crop_px: side of the random square the trunk sees; a multiple of 8.
        color_strength: of colour distortions (`data/distort.py`), which the
            paper suggests for all tasks (sec. 7); 0 leaves colours alone.
        hard_labels: whether a label is 1 where half of its pixels or more
            move and else 0, in place of their share.
        hidden_channels: of the head's 3x3 convolution.
    """

    output_stride: int = per_place.STRIDE
    min_short_side_px: int = settings.ranged(240, at_least=1)
    max_short_side_px: int = settings.ranged(360, at_least=1)
    crop_px: int = settings.ranged(224, at_least=1)
    color_strength: float = settings.ranged(0.0, at_least=0, at_most=1)
    hard_labels: bool = False
    hidden_channels: int = settings.ranged(256, at_least=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        per_place.check(self, "min_short_side_px")
        if self.max_short_side_px < self.min_short_side_px:
            raise ValueError(
                f"max_short_side_px={self.max_short_side_px} is under "
                f"min_short_side_px={self.min_short_side_px}."
            )


class MotionSegmentation(base.Task):
    """One frame in, moving or not per place out."""

    name: ClassVar[str] = "motion_segmentation"
    source: ClassVar[str] = "videos"
    abbreviation: ClassVar[str] = "MS"
    words: ClassVar[words_lib.TaskWords] = words_lib.TaskWords(
        question="What in this single frame is about to move?",
        shows="a frame, the mask of what moves, and the predicted mask",
        result=(
            "It ranks a moving place above a still one {auc:.1%} of "
            "the time, a blind guess {chance_auc:.1%}; nearness to the "
            "centre alone gets {auc_of_center:.1%}."
        ),
        share_right="auc",
    )
    side_setting: ClassVar[str | None] = "max_short_side_px"
    Config: ClassVar[type[base.TaskConfig]] = MotionSegmentationConfig
    presets: ClassVar[Mapping[str, base.TaskConfig]] = {
        "tiny": MotionSegmentationConfig(
            min_short_side_px=72,
            max_short_side_px=128,
            crop_px=64,
            # A dozen clips are known by their colours in a minute.
            color_strength=1.0,
            hidden_channels=64,
        ),
        "small": MotionSegmentationConfig(
            min_short_side_px=144,
            max_short_side_px=200,
            crop_px=128,
            hidden_channels=128,
        ),
        "paper": MotionSegmentationConfig(learning_rate=1e-4),
    }
    recipes: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {"hard_labels": True, "color_strength": 0.0},
        "best": {"weight": 1.0},
    }

    def __init__(
        self,
        config: MotionSegmentationConfig,
        contract: input_contract.InputContract | None = None,
    ) -> None:
        super().__init__(config, contract)
        self.use_facts({"moving_share": np.array(0.5)})

    def fit(
        self, examples: Iterable[dict[str, tf.Tensor]]
    ) -> dict[str, np.ndarray]:
        """Measures how much of the user's clips moves: `moving_share`."""
        shares = [
            float(np.mean(made["target"]))
            for made in self.preprocessed(examples)
        ]
        return {"moving_share": np.array(np.mean(shares))}

    def use_facts(self, facts: Mapping[str, np.ndarray]) -> None:
        """Takes `moving_share`."""
        share = float(facts["moving_share"])
        self._moving_share = min(max(share, _MIN_SHARE), 1 - _MIN_SHARE)

    def cut(
        self, example: dict[str, tf.Tensor], seed: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """Cuts a square; `target` is uint8 [crop_px, crop_px, 1], moving."""
        share = tf.random.stateless_uniform([4], seed)
        short_side = resize.between(
            self.config.min_short_side_px,
            self.config.max_short_side_px,
            share[0],
        )
        view, moving = resize.random_cuts(
            [example["image"], example["moving"]],
            short_side,
            self.config.crop_px,
            share[1:3],
            share[3] < 0.5,
        )
        return {"views": view[None], "target": moving}

    def color(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Changes colours; `target` is float32 [B, h, w], share that moves."""
        ops = keras.ops
        views = distort.recolored(
            batch["views"], self.config.color_strength, batch["seed"]
        )
        moving = per_place.average(ops.cast(batch["target"], "float32") / 255.0)
        if self.config.hard_labels:
            moving = ops.cast(moving >= 0.5, "float32")
        return {
            "views": self.to_trunk_input(views),
            "target": ops.squeeze(moving, -1),
        }

    def build_head(self, features: keras.KerasTensor) -> keras.KerasTensor:
        """Returns logits float32 [B, h, w] (layout: ours)."""
        x = heads.norm_relu(features, "head_features")
        x = heads.hidden_conv(x, self.config.hidden_channels, "head_hidden")
        share = self._moving_share
        x = heads.logits_per_place(x, 1, math.log(share / (1 - share)))
        return keras.ops.squeeze(x, -1)

    def loss(self, prediction: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
        """Cross-entropy a place, in nats, mean over places, float32 [B]."""
        entropy = keras.ops.binary_crossentropy(
            target, prediction, from_logits=True
        )
        return keras.ops.mean(entropy, axis=(1, 2))

    def metrics(
        self, prediction: tf.Tensor, target: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """How well moving places are told from still ones, per frame.

        `auc`: that a moving place scores above a still one; NaN where all of
        a frame moves, or nothing. `auc_of_center`: what the distance from
        the view's centre gets, since people film what moves in the middle.
        """
        height, width = prediction.shape[1:3]
        y, x = np.mgrid[:height, :width]
        center = -((y - (height - 1) / 2) ** 2) - (x - (width - 1) / 2) ** 2
        # Places as far from the centre as each other are told apart by a
        # little noise: without, their order would decide.
        noise = np.random.default_rng(0).uniform(0, 0.1, center.shape)
        center = keras.ops.convert_to_tensor((center + noise).astype("float32"))
        moving = target >= 0.5
        return {
            "auc": _area_under_curve(prediction, moving),
            "auc_of_center": _area_under_curve(
                keras.ops.broadcast_to(center, keras.ops.shape(prediction)),
                moving,
            ),
        }

    def chance(self) -> dict[str, float]:
        """The fitted share, for every place of every frame."""
        p = self._moving_share
        entropy = -p * math.log(p) - (1 - p) * math.log(1 - p)
        return {"loss": entropy, "auc": 0.5}

    def draw(
        self, views: np.ndarray, target: np.ndarray, prediction: np.ndarray
    ) -> np.ndarray:
        """Frame, what moves, and what the network says will."""
        rows = []
        for view, truth, logits in zip(
            self.to_displayed(views)[:, 0], target, prediction
        ):
            size = view.shape[:2]
            guess = 1.0 / (1.0 + np.exp(-logits))
            pictures = [view, drawing.heat(truth, size)]
            pictures.append(drawing.heat(guess, size))
            rows.append(drawing.row(pictures, "frame, moves, predicted"))
        return np.concatenate(rows)


def _area_under_curve(scores: tf.Tensor, moving: tf.Tensor) -> tf.Tensor:
    """Returns float32 [B] of scores float32 and moving bool [B, h, w]."""
    ops = keras.ops
    num_places = scores.shape[1] * scores.shape[2]
    scores = ops.reshape(scores, (-1, num_places))
    moving = ops.cast(ops.reshape(moving, (-1, num_places)), "float32")
    ranks = ops.cast(ops.argsort(ops.argsort(scores)), "float32") + 1.0
    num_moving = ops.sum(moving, -1)
    pairs = num_moving * (num_places - num_moving)
    # Mann-Whitney: the rank sum of the moving places, less its minimum.
    above = ops.sum(ranks * moving, -1) - num_moving * (num_moving + 1) / 2
    return ops.where(pairs > 0, above / ops.maximum(pairs, 1.0), float("nan"))
