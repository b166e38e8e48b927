"""Two views of each picture, for tasks that tell what they have in common.

Views as SimCLR makes them (Chen et al., ICML 2020, appendix A): a random
resized crop, mirrored or not, changed colours, some of them grey. Colours
change, and are dropped, for each view on its own: histograms of colour alone
would tell which two belong together (sec. 3.1 there).

Ours: the ranges of colours are those of `data/distort.py`, for every view
where the release leaves one of five alone; no blur; the head's layout.
"""

from __future__ import annotations

import abc
import dataclasses
from typing import Any, ClassVar

import numpy as np

from mtssl_tf import settings
from mtssl_tf.data import color
from mtssl_tf.data import distort
from mtssl_tf.data import resize
from mtssl_tf.data import resized_crop
from mtssl_tf.data import seeded
from mtssl_tf.lazy_imports import keras
from mtssl_tf.lazy_imports import tf
from mtssl_tf.tasks import base
from mtssl_tf.tasks import drawing
from mtssl_tf.tasks import heads
from mtssl_tf.tasks import words as words_lib

NUM_VIEWS = 2
# ours: of different pictures. It is above 0.9 in the first steps, too.
COLLAPSED_COSINE = 0.95


@dataclasses.dataclass(frozen=True)
class TwoViewsConfig(base.TaskConfig):
    """Options of a task that compares two views of a picture.

    Attributes:
        short_side_px: the picture is scaled to this first.
        crop_px: side of the views.
        min_area: the smallest crop, as a share of the picture.
        color_strength: of the colour distortions (`data/distort.py`).
        grey_probability: share of the views that are grey.
        hidden_units: width of the head's hidden layers.
        embedding_size: of the vectors that are compared.
    """

    short_side_px: int = settings.ranged(256, at_least=1)
    crop_px: int = settings.ranged(224, at_least=1)
    min_area: float = settings.ranged(0.08, above=0, at_most=1)  # release
    color_strength: float = settings.ranged(1.0, at_least=0, at_most=1)
    # release
    grey_probability: float = settings.ranged(0.2, at_least=0, at_most=1)
    hidden_units: int = settings.ranged(2048, at_least=1)
    embedding_size: int = settings.ranged(128, at_least=2)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_fit("crop_px", "short_side_px")
        self.check_compares()


class TwoViews(base.Task):
    """Two views of a picture in, two nearby embeddings out."""

    source: ClassVar[str] = "images"
    side_setting: ClassVar[str | None] = "short_side_px"
    compares_examples: ClassVar[bool] = True

    def cut(
        self, example: dict[str, tf.Tensor], seed: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """Cuts both views; `target` is int32 [], unused."""
        return cut(self.config, example, seed)

    def color(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Changes the colours of each view on its own."""
        views = recolored(self.config, batch["views"], batch["seed"])
        return {"views": self.to_trunk_input(views), "target": batch["target"]}

    @abc.abstractmethod
    def distances(self, prediction: np.ndarray) -> np.ndarray:
        """Returns those of each first view to each second, float32 [B, B].

        Args:
            prediction: of the head, float32 [B, 2, embedding_size].
        """

    def draw(
        self, views: np.ndarray, target: np.ndarray, prediction: np.ndarray
    ) -> np.ndarray:
        """Both views and the nearest other one, with their distances."""
        del target
        return draw(
            self.to_displayed(views),
            self.distances(prediction),
            self.config.patches_per_picture,
        )


def words(question: str) -> words_lib.TaskWords:
    """Returns what reports say of such a task."""
    return words_lib.TaskWords(
        question=question,
        shows=(
            "a view, another view of the same picture, and the nearest "
            "view of another picture"
        ),
        result=(
            "Another view of the same picture is nearer than one of a "
            "different picture {pairs_right:.1%} of the time, by chance "
            "{chance_pairs_right:.1%}."
        ),
        share_right="pairs_right",
    )


def cut(
    config: TwoViewsConfig, example: dict[str, tf.Tensor], seed: tf.Tensor
) -> dict[str, tf.Tensor]:
    """Cuts both views, as `Task.cut`; `target` is int32 [], unused."""
    image = resize.to_short_side(example["image"], config.short_side_px)
    shares = tf.random.stateless_uniform([NUM_VIEWS, 5], seed)
    views = resized_crop.random_crops(
        image, config.min_area, config.crop_px, shares
    )
    return {"views": views, "target": tf.zeros([], tf.int32)}


def recolored(config: TwoViewsConfig, views: Any, seeds: Any) -> Any:
    """Changes the colours of each view on its own, and makes some grey.

    Args:
        config: options of the task.
        views: uint8 [B, 2, h, w, 3].
        seeds: int32 [B, 2].

    Returns:
        float32 [B, 2, h, w, 3] in [0, 255].
    """
    ops = keras.ops
    views = distort.recolored(views, config.color_strength, seeds)
    if config.grey_probability == 0:
        return views
    share = seeded.uniform(seeds, seeded.Stream.GREY, (NUM_VIEWS, 1, 1, 1))
    return ops.where(
        share < config.grey_probability, color.to_grey(views), views
    )


def build_embedding(
    features: keras.KerasTensor,
    config: TwoViewsConfig,
    num_hidden: int,
    initializer: str | keras.initializers.Initializer = "glorot_uniform",
) -> keras.KerasTensor:
    """Builds hidden layers and a linear one on the mean over places.

    Args:
        features: float [B * 2, h', w', C].
        config: options of the task.
        num_hidden: hidden layers.
        initializer: of the linear layer's weights.

    Returns:
        float32 [B * 2, embedding_size].
    """
    x = heads.norm_relu(features, "head_features")
    x = heads.average(x)  # [B * 2, C]
    for number in range(num_hidden):
        x = heads.hidden_dense(x, config.hidden_units, f"head_hidden{number}")
    return keras.layers.Dense(
        config.embedding_size,
        kernel_initializer=initializer,
        dtype="float32",
        name="head_embedding",
    )(x)


def is_other_picture(batch_size: Any, patches_per_picture: int) -> Any:
    """Returns which examples are of different pictures, bool [B, B].

    Args:
        batch_size: B, int32 [] or a number.
        patches_per_picture: so many beside each other are of one picture.
    """
    ops = keras.ops
    pictures = ops.arange(batch_size) // patches_per_picture
    return ops.not_equal(pictures[:, None], pictures)


def pairs_right(nearness: Any, patches_per_picture: int) -> Any:
    """How often a picture's own second view is nearer than another's.

    A tie is half right: this is what equal embeddings get.

    Args:
        nearness: float32 [B, B], of each first view to each second view;
            more is nearer.
        patches_per_picture: as `is_other_picture` takes it.

    Returns:
        float32 [B] in [0, 1].
    """
    ops = keras.ops
    own = ops.diagonal(nearness)[:, None]
    is_right = (ops.sign(own - nearness) + 1.0) / 2.0
    is_other = ops.cast(
        is_other_picture(ops.shape(nearness)[0], patches_per_picture),
        "float32",
    )
    return ops.sum(is_right * is_other, -1) / ops.sum(is_other, -1)


def draw(
    shown: np.ndarray,
    distances: np.ndarray,
    patches_per_picture: int,
) -> np.ndarray:
    """Draws both views of a picture and the nearest one of another picture.

    Args:
        shown: uint8 [B, 2, h, w, 3].
        distances: float32 [B, B], of each first view to each second view.
        patches_per_picture: so many beside each other are of one picture.

    Returns:
        uint8 [B * row height, width, 3] RGB.
    """
    rows = []
    pictures = np.arange(len(shown)) // patches_per_picture
    for number, (pair, row) in enumerate(zip(shown, distances)):
        others = np.where(pictures == pictures[number], np.inf, row)
        nearest = int(np.argmin(others))
        rows.append(
            drawing.row(
                [*pair, shown[nearest, 1]],
                f"same {row[number]:.2f}, other {others[nearest]:.2f}",
            )
        )
    return np.concatenate(rows)
