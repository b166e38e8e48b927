"""Rotation: by how many quarter turns was this picture turned?

Gidaris, Singh and Komodakis, "Unsupervised Representation Learning by
Predicting Image Rotations", ICLR 2018. All four turns of each picture are in a
batch, which the article found better than one drawn at random (release, sec.
2.1): what the picture shows is then the same for all four answers, and only
the turn differs. So an example costs four views, and the presets have batches
of a quarter of the other tasks'.

What is inherent: in most pictures the sky or a line of text says where up is,
and the task is then solved without a look at the things in them. Pictures
without an up (from above, through a microscope) teach nothing.

Ours: the square is cut around the picture's middle, where the colours that a
lens shifts outwards are no compass; each turn's colours are changed on their
own; the head's layout.
"""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses
from typing import Any, ClassVar

import numpy as np

from mtssl_tf import settings
from mtssl_tf.data import distort
from mtssl_tf.data import resize
from mtssl_tf.lazy_imports import keras
from mtssl_tf.lazy_imports import tf
from mtssl_tf.tasks import base
from mtssl_tf.tasks import classification
from mtssl_tf.tasks import drawing
from mtssl_tf.tasks import heads
from mtssl_tf.tasks import words as words_lib

NUM_TURNS = 4  # release


@dataclasses.dataclass(frozen=True)
class RotationConfig(base.TaskConfig):
    """Options of rotation.

    Attributes:
        short_side_px: the picture is scaled to this first; the square is cut
            from its middle square of this side.
        crop_px: side of the square.
        color_strength: of the colour distortions (`data/distort.py`); 0
            leaves colours alone.
        hidden_units: width of the head's hidden layer.
    """

    short_side_px: int = settings.ranged(256, at_least=1)
    crop_px: int = settings.ranged(224, at_least=1)
    color_strength: float = settings.ranged(0.4, at_least=0, at_most=1)
    hidden_units: int = settings.ranged(1024, at_least=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_fit("crop_px", "short_side_px")


class Rotation(classification.Classification):
    """A picture turned in four ways in, the turn of each out."""

    name: ClassVar[str] = "rotation"
    source: ClassVar[str] = "images"
    words: ClassVar[words_lib.TaskWords] = words_lib.TaskWords(
        question="By how many quarter turns was this picture turned?",
        shows="the four turns of a picture, over the turns that were named",
        result=(
            "It names the right one of four turns {accuracy:.1%} of the "
            "time, a blind guess {chance_accuracy:.1%}."
        ),
        share_right="accuracy",
    )
    side_setting: ClassVar[str | None] = "short_side_px"
    is_harmonized: ClassVar[bool] = True
    Config: ClassVar[type[base.TaskConfig]] = RotationConfig
    presets: ClassVar[Mapping[str, base.TaskConfig]] = {
        "tiny": RotationConfig(
            batch_size=8, short_side_px=72, crop_px=64, hidden_units=256
        ),
        "small": RotationConfig(
            batch_size=8, short_side_px=146, crop_px=128, hidden_units=512
        ),
        "paper": RotationConfig(batch_size=8, learning_rate=1e-4),
    }

    def cut(
        self, example: dict[str, tf.Tensor], seed: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """Cuts and turns a square; `target` is int32 [4], the turns in order.

        A turn moves pixels and makes none, and the square lies within the
        picture: neither a trace of resampling nor a border tells a turn.
        """
        config, image = self.config, example["image"]
        share = tf.random.stateless_uniform([3], seed)
        around = resize.scaled_size(image, config.short_side_px)
        room = tf.fill([2], config.short_side_px - config.crop_px)
        corner = (around - config.short_side_px) // 2
        corner += resize.corner_in_room(room, share[:2])
        (view,) = tf.unstack(
            resize.cut_patches(
                image, config.short_side_px, corner[None], config.crop_px
            )
        )
        view = tf.where(share[2] < 0.5, view, view[:, ::-1])
        turned = [tf.image.rot90(view, turns) for turns in range(NUM_TURNS)]
        return {
            "views": tf.ensure_shape(
                tf.stack(turned), [NUM_TURNS, *view.shape]
            ),
            "target": tf.range(NUM_TURNS),
        }

    def color(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Changes the colours of each turn on its own."""
        views = distort.recolored(
            batch["views"], self.config.color_strength, batch["seed"]
        )
        return {"views": self.to_trunk_input(views), "target": batch["target"]}

    def build_head(self, features: keras.KerasTensor) -> keras.KerasTensor:
        """Returns logits float32 [B, 4, 4], view by turn (layout: ours).

        Each view is judged by itself: their order would be the answer.
        """
        x = heads.norm_relu(features, "head_features")
        x = heads.average(x)  # [B * 4, C]
        x = heads.hidden_dense(x, self.config.hidden_units, "head_hidden")
        x = heads.logits(x, self.num_classes)
        return keras.ops.reshape(x, (-1, NUM_TURNS, NUM_TURNS))

    @property
    def num_classes(self) -> int:
        return NUM_TURNS

    def draw(
        self, views: np.ndarray, target: np.ndarray, prediction: np.ndarray
    ) -> np.ndarray:
        """The four turns over what was said of each."""
        del target
        rows = []
        for turned, logits in zip(self.to_displayed(views), prediction):
            said = ", ".join(f"{90 * turns}" for turns in logits.argmax(-1))
            rows.append(drawing.row(turned, f"0, 90, 180, 270; said {said}"))
        return np.concatenate(rows)
