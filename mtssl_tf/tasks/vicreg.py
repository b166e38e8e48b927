"""VICReg: two views of a picture alike, without a look at other pictures.

Bardes, Ponce and LeCun, "VICReg: Variance-Invariance-Covariance
Regularization for Self-Supervised Learning", ICLR 2022. Embeddings of two views
are drawn together (invariance); each of their values keeps a deviation of at
least 1 over the batch (variance), and no two values say the same (covariance):
without the second all collapse to a point, without the third to a line.

Each term is computed as in the authors' code: means over values in place of
the article's sums. Variance and covariance are a batch's, so that all of its
examples have the same ones. Ours: views are those of `two_views.py`, the
embeddings smaller than the article's 8192 values.
"""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses
from typing import Any, ClassVar

import numpy as np

from mtssl_tf import settings
from mtssl_tf.lazy_imports import keras
from mtssl_tf.lazy_imports import tf
from mtssl_tf.tasks import base
from mtssl_tf.tasks import heads
from mtssl_tf.tasks import two_views
from mtssl_tf.tasks import words as words_lib

LEAST_DEVIATION = 1.0  # release: gamma, sec. 4.1
_VARIANCE_EPSILON = 1e-4  # release: sec. 4.1
_COLLAPSED_DEVIATION = 0.1  # ours


@dataclasses.dataclass(frozen=True)
class VICRegConfig(two_views.TwoViewsConfig):
    """Options of VICReg, beside those of `TwoViewsConfig`.

    Attributes:
        embedding_size: numbers of an embedding.
        invariance_weight: lambda of the article.
        variance_weight: mu.
        covariance_weight: nu.
    """

    embedding_size: int = settings.ranged(2048, at_least=2)
    # release: sec. 4.2
    invariance_weight: float = settings.ranged(25.0, above=0)
    variance_weight: float = settings.ranged(25.0, above=0)
    covariance_weight: float = settings.ranged(1.0, at_least=0)


class VICReg(two_views.TwoViews):
    """Two views of a picture in, two nearby embeddings out."""

    name: ClassVar[str] = "vicreg"
    words: ClassVar[words_lib.TaskWords] = two_views.words(
        "What do two views of a picture have in common?"
    )
    Config: ClassVar[type[base.TaskConfig]] = VICRegConfig
    presets: ClassVar[Mapping[str, base.TaskConfig]] = {
        "tiny": VICRegConfig(
            short_side_px=80,
            crop_px=64,
            # As for every task of two views: see what people can match.
            min_area=0.2,
            color_strength=0.4,
            hidden_units=256,
            embedding_size=128,
        ),
        "small": VICRegConfig(
            short_side_px=146,
            crop_px=112,
            hidden_units=512,
            embedding_size=512,
        ),
        "paper": VICRegConfig(learning_rate=1e-4),
    }

    def build_head(self, features: keras.KerasTensor) -> keras.KerasTensor:
        """Returns embeddings, float32 [B, 2, embedding_size]."""
        # From nearly a point on: of values as large as the hinge asks for,
        # the many that are alike would cost more than a blind guess.
        x = two_views.build_embedding(
            features,
            self.config,
            num_hidden=2,
            initializer=keras.initializers.RandomNormal(
                stddev=heads.LAST_LAYER_STDDEV
            ),
        )
        return keras.ops.reshape(
            x, (-1, two_views.NUM_VIEWS, self.config.embedding_size)
        )

    def loss(self, prediction: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
        """The weighted sum of the three terms, float32 [B].

        Args:
            prediction: float32 [B, 2, embedding_size].
            target: unused.
        """
        del target
        config = self.config
        hinge = keras.ops.mean(
            keras.ops.maximum(LEAST_DEVIATION - _deviations(prediction), 0.0)
        )
        return (
            config.invariance_weight * _invariance(prediction)
            + config.variance_weight * hinge
            + config.covariance_weight * _covariance(prediction)
        )

    def metrics(
        self, prediction: tf.Tensor, target: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """What tells learning from collapse.

        `pairs_right`: share of other pictures whose second view is farther
        than its own one; `invariance`: the mean square by which a picture's
        views differ; `deviation`, near 0 in a collapse, and `covariance`: of
        the batch.
        """
        del target
        ops = keras.ops
        each = ops.zeros_like(prediction[:, 0, 0])
        return {
            "pairs_right": two_views.pairs_right(
                -_squared_distances(prediction),
                self.config.patches_per_picture,
            ),
            "invariance": _invariance(prediction),
            "deviation": each + ops.mean(_deviations(prediction)),
            "covariance": each + _covariance(prediction),
        }

    def has_collapsed(self, means: Mapping[str, float]) -> bool:
        """Different pictures have the same embedding."""
        return means["deviation"] < _COLLAPSED_DEVIATION

    def chance(self) -> dict[str, float]:
        """All embeddings alike: the variance's hinge alone is left."""
        hinge = LEAST_DEVIATION - _VARIANCE_EPSILON**0.5
        return {
            "loss": self.config.variance_weight * hinge,
            "pairs_right": 0.5,
        }

    def distances(self, prediction: np.ndarray) -> np.ndarray:
        """Root mean squares of differences; see the base class."""
        difference = prediction[:, None, 0] - prediction[None, :, 1]
        return np.sqrt(np.mean(difference**2, axis=-1))


def _invariance(embeddings: Any) -> Any:
    """Returns the mean square between two views, float32 [B]."""
    ops = keras.ops
    return ops.mean(ops.square(embeddings[:, 0] - embeddings[:, 1]), axis=-1)


def _centered(embeddings: Any) -> tuple[Any, Any]:
    """Returns embeddings without their batch's mean, and B - 1."""
    ops = keras.ops
    count = ops.cast(ops.shape(embeddings)[0], "float32")
    mean = ops.mean(embeddings, axis=0, keepdims=True)
    return embeddings - mean, ops.maximum(count - 1.0, 1.0)


def _deviations(embeddings: Any) -> Any:
    """Returns each value's deviation over the batch, float32 [2, D]."""
    centered, freedom = _centered(embeddings)
    variance = keras.ops.sum(keras.ops.square(centered), axis=0) / freedom
    return keras.ops.sqrt(variance + _VARIANCE_EPSILON)


def _covariance(embeddings: Any) -> Any:
    """Returns the mean square off the diagonal, both views', float32 []."""
    ops = keras.ops
    # Gathered from many replicas, their size is known in the graph alone.
    size = ops.cast(ops.shape(embeddings)[-1], "float32")
    centered, freedom = _centered(embeddings)
    covariance = ops.einsum("bvi,bvj->vij", centered, centered) / freedom
    variance = ops.sum(ops.square(centered), axis=0) / freedom
    return (
        ops.sum(ops.square(covariance)) - ops.sum(ops.square(variance))
    ) / size


def _squared_distances(embeddings: Any) -> Any:
    """Returns those of each first view to each second, float32 [B, B]."""
    ops = keras.ops
    # About the mean of all, so that fewer digits cancel.
    around = embeddings - ops.mean(embeddings, axis=(0, 1), keepdims=True)
    first, second = around[:, 0], around[:, 1]
    return (
        ops.sum(ops.square(first), -1)[:, None]
        + ops.sum(ops.square(second), -1)
        - 2.0 * ops.matmul(first, ops.transpose(second))
    )
