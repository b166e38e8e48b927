"""Image labels: what people said is in the picture.

Not a pretext task but the paper's "INet Labels" baseline (sec. 6): the full
ResNet, block 4 and all, trained on classes, with the learning rate times 0.94
every 2 epochs. It is a task like the others, so that it can join them and its
run feeds every evaluation. Other families of trunks bring their own block 4.

Ours: the augmentation, which is that of the linear evaluation (translation
and colour) plus mirroring, and RMSProp in common with the other tasks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
import dataclasses
from typing import Any, ClassVar

import numpy as np

from mtssl_tf import settings
from mtssl_tf.data import inception_augmentation
from mtssl_tf.data import resize
from mtssl_tf.lazy_imports import keras
from mtssl_tf.lazy_imports import tf
from mtssl_tf.tasks import base
from mtssl_tf.tasks import classification
from mtssl_tf.tasks import drawing
from mtssl_tf.tasks import heads
from mtssl_tf.tasks import words as words_lib

DECAY = 0.94  # paper, sec. 6, as is its every 2 epochs
_CLASS_NAMES = "class_names"
_NUM_PICTURES = "num_pictures"
# ImageNet's; stand in until the source is read, as in a dry run.
_NUM_CLASSES_UNREAD = 1000
_NUM_PICTURES_UNREAD = 1_281_167


@dataclasses.dataclass(frozen=True)
class ImageLabelsConfig(base.TaskConfig):
    """Options of image labels.

    Attributes:
        resize_px: short side of a picture before the random cut.
        crop_px: side of the view.
        color_strength: of the colour augmentation; 0 leaves colours alone.
        decay_epochs: passes over the training pictures between decays of the
            learning rate. 0 keeps it.
        bn_decay: of block 4's moving statistics.
    """

    resize_px: int = settings.ranged(256, at_least=1)
    crop_px: int = settings.ranged(224, at_least=1)
    color_strength: float = settings.ranged(1.0, at_least=0, at_most=1)
    decay_epochs: float = settings.ranged(0.0, at_least=0)
    bn_decay: float = settings.ranged(0.997, at_least=0, below=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_fit("crop_px", "resize_px")


class ImageLabels(classification.Classification):
    """A view in, its class out."""

    name: ClassVar[str] = "image_labels"
    source: ClassVar[str] = "images"
    abbreviation: ClassVar[str] = "INet Labels"
    words: ClassVar[words_lib.TaskWords] = words_lib.TaskWords(
        question="What did people say is in this picture?",
        shows="a view, its class, and the predicted one",
        result=(
            "It names the right class {accuracy:.1%} of the time, a "
            "blind guess {chance_accuracy:.1%}."
        ),
        share_right="accuracy",
    )
    side_setting: ClassVar[str | None] = "resize_px"
    is_pretext: ClassVar[bool] = False
    Config: ClassVar[type[base.TaskConfig]] = ImageLabelsConfig
    presets: ClassVar[Mapping[str, base.TaskConfig]] = {
        "tiny": ImageLabelsConfig(
            resize_px=72,
            crop_px=64,
            color_strength=0.5,
            bn_decay=0.95,
        ),
        "small": ImageLabelsConfig(
            resize_px=146, crop_px=128, output_stride=32, bn_decay=0.99
        ),
        "paper": ImageLabelsConfig(
            learning_rate=1e-4,
            output_stride=32,
            decay_epochs=2.0,  # paper, sec. 6
        ),
    }
    recipes: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {"decay_epochs": 2.0}  # sec. 6
    }

    def __init__(self, config: Any, contract: Any = None) -> None:
        super().__init__(config, contract)
        self.class_names: tuple[str, ...] = ()
        self.num_pictures = _NUM_PICTURES_UNREAD

    def fit(
        self, examples: Iterable[dict[str, tf.Tensor]]
    ) -> dict[str, np.ndarray]:
        """Takes the names of the classes and the number of pictures.

        Raises:
            ValueError: the source has no classes, or one only.
        """
        example = next(iter(examples))
        names = np.array(
            [name.decode() for name in example[_CLASS_NAMES].numpy()]
        )
        if len(names) < 2:
            raise ValueError(
                f"--tasks={self.name} needs pictures of two classes or more; "
                f"found {len(names)}. Name a folder with a folder a class, a "
                "TFDS dataset with labels, or tfrecord: with TF-Slim's keys "
                "and labels.txt beside the files, as --images."
            )
        return {
            _CLASS_NAMES: names,
            _NUM_PICTURES: example[_NUM_PICTURES].numpy(),
        }

    def use_facts(self, facts: Mapping[str, np.ndarray]) -> None:
        """Takes the names of the classes and the number of pictures."""
        self.class_names = tuple(facts[_CLASS_NAMES].tolist())
        # Runs of older versions had no decay that follows it.
        self.num_pictures = int(facts.get(_NUM_PICTURES, self.num_pictures))

    @property
    def num_classes(self) -> int:
        return len(self.class_names) or _NUM_CLASSES_UNREAD

    def learning_rate(self) -> Any:
        """The paper's staircase, or a float where it is off."""
        if not self.config.decay_epochs:
            return self.config.learning_rate
        epoch = self.num_pictures / self.config.pictures_per_batch  # in steps
        return keras.optimizers.schedules.ExponentialDecay(
            self.config.learning_rate,
            max(1, round(self.config.decay_epochs * epoch)),
            DECAY,
            staircase=True,
        )

    def cut(
        self, example: dict[str, tf.Tensor], seed: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """Cuts a square, mirrored or not; `target` is int32 [], the class."""
        share = tf.random.stateless_uniform([3], seed)
        view = resize.random_cut(
            example["image"],
            self.config.resize_px,
            self.config.crop_px,
            share[:2],
            share[2] < 0.5,
        )
        return {"views": view[None], "target": example["class"]}

    def color(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Changes colours as Inception's training does."""
        views = inception_augmentation.distort_colors(
            batch["views"], self.config.color_strength, batch["seed"]
        )
        return {
            "views": self.to_trunk_input(views),
            "target": batch["target"],
        }

    def build_head(self, features: keras.KerasTensor) -> keras.KerasTensor:
        """Block 4, average pooling and logits, float32 [B, K] (paper)."""
        # Needs Keras, which a task's config must not.
        from mtssl_tf.models import trunk

        block4 = trunk.build_block4(
            dataclasses.replace(
                self.trunk,
                output_stride=self.config.output_stride,
                bn_decay=self.config.bn_decay,
            ),
            dtype=heads.dtype_policy(features.dtype),
            channels=features.shape[-1],
        )
        x = heads.average(block4(features))  # [B, 2C]
        return heads.logits(x, self.num_classes)

    def draw(
        self, views: np.ndarray, target: np.ndarray, prediction: np.ndarray
    ) -> np.ndarray:
        """Each view over the name of its class and of the guess."""
        shown = self.to_displayed(views)[:, 0]
        captions = [
            f"{self.class_names[truth]}, said {self.class_names[guess]}"
            for truth, guess in zip(target, prediction.argmax(axis=-1))
        ]
        rows = list(map(drawing.row, shown[:, None], captions))
        width = max(row.shape[1] for row in rows)
        return np.concatenate(
            [
                np.pad(
                    row,
                    ((0, 0), (0, width - row.shape[1]), (0, 0)),
                    constant_values=255,
                )
                for row in rows
            ]
        )
