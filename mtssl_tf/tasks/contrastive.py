"""Contrastive: which view is of the same picture, among all of the batch?

Chen, Kornblith, Norouzi and Hinton, "A Simple Framework for Contrastive
Learning of Visual Representations" (SimCLR), ICML 2020: two views of each
picture, a projection, and the normalised temperature-scaled cross-entropy
(NT-Xent, equation 1), for which all other views of the batch are negatives.

Ours: batches are small, and so are the embeddings of the small presets; views
are those of `two_views.py`. A batch computed in parts (`train.accumulate`)
has the negatives of a part.
"""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses
import math
from typing import ClassVar

import numpy as np

from mtssl_tf import settings
from mtssl_tf.lazy_imports import keras
from mtssl_tf.lazy_imports import tf
from mtssl_tf.tasks import base
from mtssl_tf.tasks import two_views
from mtssl_tf.tasks import words as words_lib

_NEVER = -1e9  # the logit of what is no negative


@dataclasses.dataclass(frozen=True)
class ContrastiveConfig(two_views.TwoViewsConfig):
    """Options of contrastive, beside those of `TwoViewsConfig`.

    Attributes:
        temperature: tau, by which cosines are divided.
    """

    # release: 0.1 for ImageNet
    temperature: float = settings.ranged(0.1, above=0)


class Contrastive(two_views.TwoViews):
    """Two views of a picture in, two nearby unit vectors out."""

    name: ClassVar[str] = "contrastive"
    words: ClassVar[words_lib.TaskWords] = two_views.words(
        "Which of all views in the batch is of the same picture?"
    )
    Config: ClassVar[type[base.TaskConfig]] = ContrastiveConfig
    presets: ClassVar[Mapping[str, base.TaskConfig]] = {
        "tiny": ContrastiveConfig(
            short_side_px=80,
            crop_px=64,
            # In minutes nothing is learned from views that people cannot
            # match either.
            min_area=0.2,
            color_strength=0.4,
            hidden_units=256,
        ),
        "small": ContrastiveConfig(
            short_side_px=146, crop_px=112, hidden_units=512
        ),
        "paper": ContrastiveConfig(learning_rate=1e-4),
    }

    def build_head(self, features: keras.KerasTensor) -> keras.KerasTensor:
        """Returns unit vectors, float32 [B, 2, embedding_size]."""
        x = two_views.build_embedding(features, self.config, num_hidden=1)
        x = keras.layers.UnitNormalization(axis=-1, dtype="float32")(x)
        return keras.ops.reshape(
            x, (-1, two_views.NUM_VIEWS, self.config.embedding_size)
        )

    def loss(self, prediction: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
        """NT-Xent in nats, mean over a picture's two views, float32 [B].

        Args:
            prediction: float32 [B, 2, embedding_size], unit vectors.
            target: unused.
        """
        del target
        ops = keras.ops
        logits = (
            ops.einsum("bvd,cwd->bvcw", prediction, prediction)
            / self.config.temperature
        )  # [B, 2, B, 2]
        positive = (
            ops.sum(prediction[:, 0] * prediction[:, 1], -1)
            / self.config.temperature
        )  # [B], of both views
        is_negative = two_views.is_other_picture(
            ops.shape(prediction)[0], self.config.patches_per_picture
        )[:, None, :, None]
        negative = ops.logsumexp(
            ops.where(is_negative, logits, _NEVER), axis=(2, 3)
        )  # [B, 2]
        positive = ops.broadcast_to(positive[:, None], ops.shape(negative))
        whole = ops.logsumexp(ops.stack([positive, negative], -1), axis=-1)
        return ops.mean(whole - positive, axis=-1)

    def metrics(
        self, prediction: tf.Tensor, target: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """What tells learning from collapse.

        `pairs_right`: share of other pictures whose second view is farther
        than its own one; `positive_cosine` and `negative_cosine`: both near 1
        is collapse.
        """
        del target
        ops = keras.ops
        cosines = ops.matmul(prediction[:, 0], ops.transpose(prediction[:, 1]))
        patches = self.config.patches_per_picture
        is_other = ops.cast(
            two_views.is_other_picture(ops.shape(prediction)[0], patches),
            "float32",
        )
        return {
            "pairs_right": two_views.pairs_right(cosines, patches),
            "positive_cosine": ops.diagonal(cosines),
            "negative_cosine": ops.sum(cosines * is_other, -1)
            / ops.sum(is_other, -1),
        }

    def has_collapsed(self, means: Mapping[str, float]) -> bool:
        """Different pictures have the same embedding."""
        return means["negative_cosine"] > two_views.COLLAPSED_COSINE

    def chance(self) -> dict[str, float]:
        """All embeddings alike: every view of the batch is as likely."""
        config = self.config
        num_negatives = two_views.NUM_VIEWS * (
            config.batch_size // self.num_parts - config.patches_per_picture
        )
        return {"loss": math.log(1 + num_negatives), "pairs_right": 0.5}

    def distances(self, prediction: np.ndarray) -> np.ndarray:
        """Of cosines; see the base class."""
        return 1.0 - prediction[:, 0] @ prediction[:, 1].T
