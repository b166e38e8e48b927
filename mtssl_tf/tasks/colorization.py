"""Colorization: which colour does each place of a grey picture have?

Zhang, Isola and Efros, "Colorful Image Colorization", ECCV 2016 (reference
[46] of the paper, sec. 2), at stride 8 where the original has 4. Lightness
goes in; out comes a distribution over 313 bins of colour for every 8 by 8
pixels. Rare colours weigh more; the prior this needs is fitted on the user's
own pictures.

Our deviations: the target of a place is its mean colour; the head's layout.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
import dataclasses
import itertools
import math
from typing import Any, ClassVar

import cv2
import numpy as np

from mtssl_tf import settings
from mtssl_tf.data import ab_bins
from mtssl_tf.data import ab_encoding
from mtssl_tf.data import color
from mtssl_tf.data import resize
from mtssl_tf.lazy_imports import keras
from mtssl_tf.lazy_imports import tf
from mtssl_tf.models import input_contract
from mtssl_tf.tasks import base
from mtssl_tf.tasks import drawing
from mtssl_tf.tasks import heads
from mtssl_tf.tasks import per_place
from mtssl_tf.tasks import words as words_lib

_FITTED_AT_ONCE = 16  # ours: pictures; 16 MB of soft bins at the paper's size


@dataclasses.dataclass(frozen=True)
class ColorizationConfig(base.TaskConfig):
    """Options of colorization.

    Attributes:
        short_side_px: the picture is scaled to this first.
        crop_px: side of the random square the trunk sees; a multiple of 8.
        uniform_share: lambda of the rebalancing; 1 turns it off, and 0 would
            give no weight to colours that the user's pictures lack.
        hidden_channels: of the head's 3x3 convolution.
    """

    learning_rate: float = settings.ranged(4e-4, above=0)
    output_stride: int = per_place.STRIDE
    short_side_px: int = settings.ranged(256, at_least=1)
    crop_px: int = settings.ranged(224, at_least=1)
    # release: Zhang et al., sec. 2.2
    uniform_share: float = settings.ranged(0.5, above=0, at_most=1)
    hidden_channels: int = settings.ranged(256, at_least=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        per_place.check(self, "short_side_px")


class Colorization(base.Task):
    """Lightness in, a distribution over 313 colours per place out."""

    name: ClassVar[str] = "colorization"
    source: ClassVar[str] = "images"
    abbreviation: ClassVar[str] = "Col"
    words: ClassVar[words_lib.TaskWords] = words_lib.TaskWords(
        question="Which colours had this grey picture?",
        shows="the grey input, its true colours, and the predicted ones",
        result=(
            "Its colours are {cross_entropy:.2f} nats off (less is "
            "better), those that are frequent anyhow "
            "{chance_cross_entropy:.2f}."
        ),
        # The loss is 0 for grey pictures, of which there may be more among
        # those that are held out.
        measure="cross_entropy",
    )
    side_setting: ClassVar[str | None] = "short_side_px"
    learns_from_color: ClassVar[bool] = True
    Config: ClassVar[type[base.TaskConfig]] = ColorizationConfig
    presets: ClassVar[Mapping[str, base.TaskConfig]] = {
        "tiny": ColorizationConfig(
            short_side_px=80, crop_px=64, hidden_channels=128
        ),
        "small": ColorizationConfig(
            short_side_px=160, crop_px=128, hidden_channels=256
        ),
        "paper": ColorizationConfig(learning_rate=1e-4),
    }

    def __init__(
        self,
        config: ColorizationConfig,
        contract: input_contract.InputContract | None = None,
    ) -> None:
        super().__init__(config, contract)
        uniform = np.full(ab_bins.NUM_AB_BINS, 1 / ab_bins.NUM_AB_BINS)
        self.use_facts(
            {
                "prior": uniform,
                "prior_by_nearest": np.diag(uniform),
                "colorful_share": np.array(1.0),
            }
        )

    def fit(
        self, examples: Iterable[dict[str, tf.Tensor]]
    ) -> dict[str, np.ndarray]:
        """Measures how frequent each colour bin is in the user's pictures.

        Returns:
            `prior`, float64 [313]; `prior_by_nearest`, float64 [313, 313],
            the same by the bin that a place's colour is nearest to, which its
            weight goes by; and `colorful_share`, float64 []: how many pictures
            are not grey.
        """
        total = np.zeros((ab_bins.NUM_AB_BINS, ab_bins.NUM_AB_BINS))
        num_pictures = num_colorful = 0
        targets = (made["target"] for made in self.preprocessed(examples))
        while some := list(itertools.islice(targets, _FITTED_AT_ONCE)):
            ab = np.stack(some)
            is_colorful = np.asarray(color.is_colorful(ab))
            num_pictures += len(some)
            num_colorful += int(is_colorful.sum())
            soft = np.asarray(
                ab_encoding.soft_encode(ab[is_colorful]), np.float64
            ).reshape(-1, ab_bins.NUM_AB_BINS)
            np.add.at(total, soft.argmax(-1), soft)
        if not num_colorful:
            raise ValueError(
                f"All of {num_pictures} pictures are grey: there is no colour "
                "to predict. Leave colorization out of --tasks."
            )
        total /= total.sum()
        return {
            "prior": total.sum(0),
            "prior_by_nearest": total,
            "colorful_share": np.array(num_colorful / num_pictures),
        }

    def use_facts(self, facts: Mapping[str, np.ndarray]) -> None:
        """Takes the prior, and derives weights and the blind guess from it."""
        self._prior = np.asarray(facts["prior"], np.float64)
        self._colorful_share = float(facts["colorful_share"])
        self._weights = ab_encoding.rebalancing_weights(
            self._prior, self.config.uniform_share
        )
        # What a weighted loss makes a blind guess converge to. Facts of 0.1.0
        # say how frequent bins are alone: as if a colour had one bin.
        by_nearest = facts.get("prior_by_nearest", np.diag(self._prior))
        self._weighted_prior = self._weights @ by_nearest

    def cut(
        self, example: dict[str, tf.Tensor], seed: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """Cuts a square; `target` is int32 [], unused: colours are in it."""
        share = tf.random.stateless_uniform([3], seed)
        view = resize.random_cut(
            example["image"],
            self.config.short_side_px,
            self.config.crop_px,
            share[:2],
            share[2] < 0.5,
        )
        return {"views": view[None], "target": tf.zeros([], tf.int32)}

    def color(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Makes grey views; `target` is float32 [B, h, w, 2], mean ab."""
        ops = keras.ops
        views = ops.cast(batch["views"], "float32")
        lab = color.to_lab(views / 255.0)
        ab = per_place.average(lab[:, 0, ..., 1:])
        grey = color.grey_of_lab(lab)
        return {"views": self.contract.apply(grey), "target": ab}

    def build_head(self, features: keras.KerasTensor) -> keras.KerasTensor:
        """Returns logits float32 [B, h, w, 313] (layout: ours)."""
        x = heads.norm_relu(features, "head_features")
        x = heads.hidden_conv(x, self.config.hidden_channels, "head_hidden")
        guess = self._weighted_prior / self._weighted_prior.sum()
        return heads.logits_per_place(
            x, ab_bins.NUM_AB_BINS, np.log(guess + 1e-6).astype(np.float32)
        )

    def loss(self, prediction: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
        """Rebalanced cross-entropy, mean over places, 0 for grey pictures.

        Args:
            prediction: float32 [B, h, w, 313], logits.
            target: float32 [B, h, w, 2].

        Returns:
            float32 [B], in nats.
        """
        ops = keras.ops
        soft = ab_encoding.soft_encode(target)
        entropy = -ops.sum(soft * ops.log_softmax(prediction, -1), -1)
        weights = ops.take(
            ops.convert_to_tensor(self._weights), ops.argmax(soft, -1), axis=0
        )
        loss = ops.mean(weights * entropy, axis=(1, 2))
        return ops.where(color.is_colorful(target), loss, 0.0)

    def metrics(
        self, prediction: tf.Tensor, target: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """`cross_entropy`: in nats, of the posterior without rebalancing.

        The weighted loss teaches a distribution in which rare colours are too
        frequent by what a blind guess is; dividing by that gives what the
        network believes of the real frequencies, to be held against the
        prior's entropy.
        """
        ops = keras.ops
        excess = np.divide(
            self._weighted_prior,
            self._prior,
            out=self._weights.astype(np.float64),  # of bins without a colour
            where=self._prior > 0,
        )
        logits = prediction - ops.convert_to_tensor(
            np.log(excess).astype(np.float32)
        )
        soft = ab_encoding.soft_encode(target)
        entropy = -ops.sum(soft * ops.log_softmax(logits, -1), -1)
        return {
            "cross_entropy": ops.where(
                color.is_colorful(target),
                ops.mean(entropy, axis=(1, 2)),
                float("nan"),
            )
        }

    def chance(self) -> dict[str, float]:
        """The fitted prior, for every place of every picture."""
        guess = self._weighted_prior / self._weighted_prior.sum()
        loss = -_sum_x_log_y(self._weighted_prior, guess)
        return {
            "loss": self._colorful_share * loss,
            "cross_entropy": -_sum_x_log_y(self._prior, self._prior),
        }

    def draw(
        self, views: np.ndarray, target: np.ndarray, prediction: np.ndarray
    ) -> np.ndarray:
        """Grey input, true colour and predicted colour."""
        rows = []
        guess = ab_encoding.annealed_mean(prediction)
        for view, true_ab, guessed_ab in zip(
            self.to_displayed(views)[:, 0], target, guess
        ):
            pictures = [view, _paint(view, true_ab), _paint(view, guessed_ab)]
            rows.append(drawing.row(pictures, "grey, true colour, predicted"))
        return np.concatenate(rows)


def _sum_x_log_y(x: np.ndarray, y: np.ndarray) -> float:
    """Returns the sum of x log y, where 0 log 0 is 0."""
    used = x > 0
    return math.fsum(x[used] * np.log(y[used]))


def _paint(grey: np.ndarray, ab: np.ndarray) -> np.ndarray:
    """Returns grey uint8 [h, w, 3] in the colours ab float [h/8, w/8, 2]."""
    height, width = grey.shape[:2]
    smooth = cv2.resize(ab, (width, height), interpolation=cv2.INTER_LINEAR)
    lightness = grey[..., :1] / 255.0 * color.MAX_LIGHTNESS
    lab = np.concatenate([lightness, smooth], -1).astype(np.float32)
    rgb = keras.ops.convert_to_numpy(color.from_lab(lab))
    return np.rint(rgb * 255).astype(np.uint8)
