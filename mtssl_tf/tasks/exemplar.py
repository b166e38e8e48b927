"""Exemplar: do two distorted patches come from the same picture?

Dosovitskiy et al., "Discriminative Unsupervised Feature Learning with
Convolutional Neural Networks", NIPS 2014 (reference [8] of the paper), made
scalable by a triplet loss on cosine distance with margin 0.5 (paper, sec. 2).

Ours: every other picture of the batch serves as a negative, and an anchor's
loss is the mean over those of its triplets that violate the margin: the easy
ones, soon nearly all, would drown the rest. `negatives="random"` is the paper's
own triplet. The head's layout.
"""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses
from typing import Any, ClassVar

import numpy as np

from mtssl_tf import settings
from mtssl_tf.data import distort
from mtssl_tf.data import resize
from mtssl_tf.data import seeded
from mtssl_tf.lazy_imports import keras
from mtssl_tf.lazy_imports import tf
from mtssl_tf.tasks import base
from mtssl_tf.tasks import heads
from mtssl_tf.tasks import two_views
from mtssl_tf.tasks import words as words_lib

MARGIN = 0.5  # paper, sec. 2
NEGATIVES = ("active", "random")


@dataclasses.dataclass(frozen=True)
class ExemplarConfig(base.TaskConfig):
    """Options of exemplar.

    Attributes:
        short_side_px: the picture is scaled to this first.
        patch_px: side of the seed patch and of the distorted views.
        color_strength: of the colour distortions; 1 takes the ranges of the
            original, 0 leaves colours alone.
        hidden_units: width of the head's hidden layer.
        embedding_size: of the vectors that are compared.
        negatives: 'active' compares an anchor with both views of every other
            picture of the batch, and its loss is the mean over the triplets
            that violate the margin (ours); 'random' with one view of one
            other picture, whether it does or not (paper, sec. 2).
    """

    short_side_px: int = settings.ranged(160, at_least=1)
    patch_px: int = settings.ranged(96, at_least=1)
    color_strength: float = settings.ranged(1.0, at_least=0, at_most=1)
    hidden_units: int = settings.ranged(1024, at_least=1)
    embedding_size: int = settings.ranged(128, at_least=1)
    negatives: str = NEGATIVES[0]

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_fit("patch_px", "short_side_px")
        self.check_compares()
        if self.negatives not in NEGATIVES:
            raise ValueError(
                f"negatives={self.negatives!r} is not one of {NEGATIVES}."
            )


class Exemplar(base.Task):
    """Two distortions of a patch in, two nearby embeddings out."""

    name: ClassVar[str] = "exemplar"
    source: ClassVar[str] = "images"
    abbreviation: ClassVar[str] = "Ex"
    words: ClassVar[words_lib.TaskWords] = words_lib.TaskWords(
        question="Which views are of one and the same picture?",
        shows=(
            "a view, another view of the same picture, and the nearest "
            "view of another picture"
        ),
        result=(
            "Another view of the same picture is nearer than a "
            "different picture {triplets_right:.1%} of the time, by "
            "chance {chance_triplets_right:.1%}."
        ),
        share_right="triplets_right",
    )
    side_setting: ClassVar[str | None] = "short_side_px"
    compares_examples: ClassVar[bool] = True
    Config: ClassVar[type[base.TaskConfig]] = ExemplarConfig
    presets: ClassVar[Mapping[str, base.TaskConfig]] = {
        "tiny": ExemplarConfig(
            short_side_px=80,
            patch_px=48,
            # In minutes nothing is learned from patches that people cannot
            # match either.
            color_strength=0.4,
            hidden_units=256,
        ),
        "small": ExemplarConfig(
            short_side_px=112, patch_px=72, hidden_units=512
        ),
        "paper": ExemplarConfig(learning_rate=1e-4),
    }
    recipes: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {"negatives": "random", "color_strength": 1.0},
        "best": {"weight": 3.0},
    }

    def cut(
        self, example: dict[str, tf.Tensor], seed: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """Distorts one seed patch twice; `target` is int32 [], unused."""
        image = resize.to_short_side(
            example["image"], self.config.short_side_px
        )
        share = tf.random.stateless_uniform([10], seed)
        views = distort.distorted_patches(
            image,
            # A corner in [0, 1]^2 of the room that the patch leaves.
            share[:2],
            self.config.patch_px,
            tf.reshape(share[2:], [2, 4]),
        )
        return {"views": views, "target": tf.zeros([], tf.int32)}

    def color(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Changes the colours of each view on its own.

        `target` becomes float32 [B] in [0, 1): which view of another picture
        is an anchor's third patch, where the paper's triplet is asked for.
        """
        views = distort.recolored(
            batch["views"], self.config.color_strength, batch["seed"]
        )
        return {
            "views": self.to_trunk_input(views),
            "target": seeded.uniform(
                batch["seed"], seeded.Stream.THIRD_PATCH, ()
            ),
        }

    def build_head(self, features: keras.KerasTensor) -> keras.KerasTensor:
        """Returns unit vectors, float32 [B, 2, embedding_size] (ours)."""
        x = heads.norm_relu(features, "head_features")
        x = heads.average(x)  # [B * 2, C]
        x = heads.hidden_dense(x, self.config.hidden_units, "head_hidden")
        x = keras.layers.Dense(
            self.config.embedding_size, dtype="float32", name="head_embedding"
        )(x)
        # Over the feature axis: over the batch axis it would be a known bug.
        x = keras.layers.UnitNormalization(axis=-1, dtype="float32")(x)
        return keras.ops.reshape(x, (-1, 2, self.config.embedding_size))

    def loss(self, prediction: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
        """Hinge of each anchor, over the triplets that `negatives` names.

        Args:
            prediction: float32 [B, 2, embedding_size], unit vectors.
            target: float32 [B] in [0, 1), as `color` draws it.

        Returns:
            float32 [B].
        """
        violation, is_negative = _violations(
            prediction, self.config.patches_per_picture
        )
        if self.config.negatives == "random":
            third = _third_patch(target, self.config.patches_per_picture)
            hinge = keras.ops.maximum(violation, 0.0)
            return keras.ops.sum(hinge * third, axis=(1, 2))
        is_active = keras.ops.cast(
            keras.ops.logical_and(violation > 0, is_negative), "float32"
        )
        num_active = keras.ops.sum(is_active, axis=(1, 2))
        total = keras.ops.sum(violation * is_active, axis=(1, 2))
        return total / keras.ops.maximum(num_active, 1.0)

    def metrics(
        self, prediction: tf.Tensor, target: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """What tells learning from collapse.

        `triplets_right`: share with the positive nearer than the negative;
        `active`: share that violates the margin; `positive_cosine` and
        `negative_cosine`: both near 1 is collapse.
        """
        del target
        ops = keras.ops
        positive, negative, is_negative = _cosines(
            prediction, self.config.patches_per_picture
        )
        count = ops.sum(ops.cast(is_negative, "float32"), axis=(1, 2))

        def mean(values):
            kept = ops.where(is_negative, ops.cast(values, "float32"), 0.0)
            return ops.sum(kept, axis=(1, 2)) / count

        margin = positive[:, None, None] - negative
        # A tie is half right: this is what a collapsed network gets.
        is_right = (ops.sign(margin) + 1.0) / 2.0
        return {
            "triplets_right": mean(is_right),
            "active": mean(margin < MARGIN),
            "positive_cosine": positive,
            "negative_cosine": mean(negative),
        }

    def has_collapsed(self, means: Mapping[str, float]) -> bool:
        """Different pictures have the same embedding."""
        return means["negative_cosine"] > two_views.COLLAPSED_COSINE

    def chance(self) -> dict[str, float]:
        """All embeddings alike: every triplet is active by the margin."""
        return {"loss": MARGIN, "triplets_right": 0.5}

    def draw(
        self, views: np.ndarray, target: np.ndarray, prediction: np.ndarray
    ) -> np.ndarray:
        """Anchor, positive and hardest negative, with cosine distances."""
        del target
        return two_views.draw(
            self.to_displayed(views),
            1.0 - prediction[:, 0] @ prediction[:, 1].T,
            self.config.patches_per_picture,
        )


def _cosines(
    embeddings: tf.Tensor, patches_per_picture: int
) -> tuple[tf.Tensor, ...]:
    """Cosines of each anchor with its positive and with all negatives.

    Args:
        embeddings: float32 [B, 2, D], unit vectors.
        patches_per_picture: so many beside each other are of one picture.

    Returns:
        positive, float32 [B]; negative, float32 [B, B, 2] with both views of
        every patch; is_negative, bool [B, B, 2], False for its own picture's.
    """
    ops = keras.ops
    anchor = embeddings[:, 0]
    positive = ops.sum(anchor * embeddings[:, 1], -1)
    negative = ops.einsum("bd,cvd->bcv", anchor, embeddings)
    is_other = two_views.is_other_picture(
        ops.shape(embeddings)[0], patches_per_picture
    )
    return (
        positive,
        negative,
        ops.broadcast_to(is_other[..., None], ops.shape(negative)),
    )


def _violations(
    embeddings: tf.Tensor, patches_per_picture: int
) -> tuple[tf.Tensor, tf.Tensor]:
    """D(anchor, positive) - D(anchor, negative) + M, float32 [B, B, 2]."""
    positive, negative, is_negative = _cosines(embeddings, patches_per_picture)
    return MARGIN - positive[:, None, None] + negative, is_negative


def _third_patch(share: tf.Tensor, patches_per_picture: int) -> tf.Tensor:
    """Returns float32 [B, B, 2]: 1 at each anchor's third patch, else 0.

    Args:
        share: float32 [B] in [0, 1): how far along the views of the other
            pictures' patches, 2 (B - 1) where each has one, from the next
            picture on and around the batch's end.
        patches_per_picture: so many beside each other are of one picture.
    """
    ops = keras.ops
    batch_size = ops.shape(share)[0]
    numbers = ops.arange(batch_size)
    chosen = ops.cast(
        share * ops.cast(2 * (batch_size - patches_per_picture), "float32"),
        "int32",
    )
    first = (numbers // patches_per_picture + 1) * patches_per_picture
    patch = (first + chosen // 2) % batch_size
    is_patch = ops.equal(patch[:, None], numbers)[..., None]
    is_view = ops.equal((chosen % 2)[:, None], ops.arange(2))[:, None]
    return ops.cast(ops.logical_and(is_patch, is_view), "float32")
