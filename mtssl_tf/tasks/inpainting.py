"""Inpainting: which colours has the hidden part of this picture?

Pathak et al., "Context Encoders: Feature Learning by Inpainting", CVPR 2016.
A square of the picture is painted over with the mean colour, and what was there
is to be told from what is around it, by the reconstruction loss alone (equation
1 there).

Ours: what is told is the mean colour of every 8 by 8 hidden pixels, at the
trunk's stride, where the original draws all pixels; there is no adversary; the
hidden square lies anywhere (the original found that a network clings to the
edges of one in the centre); the head's layout. Colours near the edge can be had
by going on with what is just outside of it; the metrics tell how far the mean
of all that is visible gets.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
import dataclasses
from typing import Any, ClassVar

import numpy as np

from mtssl_tf import settings
from mtssl_tf.data import color
from mtssl_tf.data import resize
from mtssl_tf.data import seeded
from mtssl_tf.lazy_imports import keras
from mtssl_tf.lazy_imports import tf
from mtssl_tf.models import input_contract
from mtssl_tf.tasks import base
from mtssl_tf.tasks import drawing
from mtssl_tf.tasks import heads
from mtssl_tf.tasks import per_place
from mtssl_tf.tasks import words as words_lib

_MIN_DEVIATION = 1.0  # ours: in grey levels; keeps the loss of flat data finite


@dataclasses.dataclass(frozen=True)
class InpaintingConfig(base.TaskConfig):
    """Options of inpainting.

    Attributes:
        short_side_px: the picture is scaled to this first.
        crop_px: side of the random square the trunk sees; a multiple of 8.
        hidden_px: side of what is hidden of it; a multiple of 8.
        hidden_channels: of the head's 3x3 convolution.
    """

    output_stride: int = per_place.STRIDE
    short_side_px: int = settings.ranged(256, at_least=1)
    crop_px: int = settings.ranged(224, at_least=1)
    # release: half of the side, a quarter of the picture
    hidden_px: int = settings.ranged(112, at_least=1)
    hidden_channels: int = settings.ranged(256, at_least=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        per_place.check(self, "short_side_px")
        if self.hidden_px % per_place.STRIDE or self.hidden_px >= self.crop_px:
            raise ValueError(
                f"hidden_px={self.hidden_px} must be a multiple of "
                f"{per_place.STRIDE} and below crop_px={self.crop_px}."
            )


class Inpainting(base.Task):
    """A picture with a hole in, the colours of the hole out."""

    name: ClassVar[str] = "inpainting"
    source: ClassVar[str] = "images"
    words: ClassVar[words_lib.TaskWords] = words_lib.TaskWords(
        question="Which colours has the hidden part of this picture?",
        shows="the picture with a hole, what is hidden, and the guess of it",
        result=(
            "Its guess of hidden colours is {error:.1f} of 255 levels off "
            "(less is better), one mean colour for all {chance_error:.1f}; "
            "the mean of what is visible gets {error_of_visible:.1f}."
        ),
        measure="error",
    )
    side_setting: ClassVar[str | None] = "short_side_px"
    Config: ClassVar[type[base.TaskConfig]] = InpaintingConfig
    presets: ClassVar[Mapping[str, base.TaskConfig]] = {
        "tiny": InpaintingConfig(
            short_side_px=80, crop_px=64, hidden_px=32, hidden_channels=128
        ),
        "small": InpaintingConfig(short_side_px=160, crop_px=128, hidden_px=64),
        "paper": InpaintingConfig(learning_rate=1e-4),
    }

    def __init__(
        self,
        config: InpaintingConfig,
        contract: input_contract.InputContract | None = None,
    ) -> None:
        super().__init__(config, contract)
        self.use_facts(
            {
                "mean": np.array(self.contract.means_rgb),
                "deviation": np.array(64.0),
                "spread": np.array(64.0),
            }
        )

    def fit(
        self, examples: Iterable[dict[str, tf.Tensor]]
    ) -> dict[str, np.ndarray]:
        """Measures the colours that are hidden.

        Returns:
            `mean`, float64 [3], of places' colours in [0, 255]; `deviation`,
            float64 [], the root of their mean square from it; and `spread`,
            float64 [], their mean distance from it.
        """
        targets = [made["target"] for made in self.preprocessed(examples)]
        whole = np.stack([np.asarray(each, np.float64) for each in targets])
        colors = whole[whole[..., 3] > 0.5][:, :3]
        mean = colors.mean(axis=0)
        return {
            "mean": mean,
            "deviation": np.sqrt(np.mean((colors - mean) ** 2)),
            "spread": np.mean(np.abs(colors - mean)),
        }

    def use_facts(self, facts: Mapping[str, np.ndarray]) -> None:
        """Takes mean, deviation and spread."""
        self._mean = np.asarray(facts["mean"], np.float32)
        self._spread = float(facts["spread"])
        measured = float(facts["deviation"])
        self._deviation = max(measured, _MIN_DEVIATION)
        # Less than 1 where all pictures are nearly of one colour.
        self._guess_loss = (measured / self._deviation) ** 2

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
        """Hides a square, of which nothing is left in the view.

        `target` is float32 [B, h, w, 4]: the mean colour of each place in
        [0, 255], and 1 where it is hidden, else 0.
        """
        ops = keras.ops
        rgb = ops.cast(batch["views"], "float32")[:, 0]
        if self.config.grey_input:
            rgb = color.to_grey(rgb)
        colors = per_place.average(rgb)
        is_hidden = self._hidden_places(batch["seed"])  # [B, h, w, 1]
        side = per_place.STRIDE
        hides = ops.repeat(ops.repeat(is_hidden, side, 1), side, 2)
        means = np.asarray(self.contract.means_rgb, np.float32)
        if self.config.grey_input:
            means = color.to_grey(means)
        seen = ops.where(hides > 0.5, means, rgb)
        return {
            "views": self.contract.apply(seen[:, None]),
            "target": ops.concatenate([colors, is_hidden], -1),
        }

    def _hidden_places(self, seeds: Any) -> Any:
        """Returns 1 where a place is hidden, else 0, float32 [B, h, w, 1]."""
        ops = keras.ops
        num_places = self.config.crop_px // per_place.STRIDE
        num_hidden = self.config.hidden_px // per_place.STRIDE
        share = seeded.uniform(seeds, seeded.Stream.HIDDEN_PLACE, (2, 1))
        first = ops.floor(share * (num_places - num_hidden + 1.0))
        places = ops.convert_to_tensor(np.arange(num_places, dtype=np.float32))
        is_within = ops.cast(
            ops.logical_and(places >= first, places < first + num_hidden),
            "float32",
        )  # [B, 2, places]
        return (is_within[:, 0, :, None] * is_within[:, 1, None])[..., None]

    def build_head(self, features: keras.KerasTensor) -> keras.KerasTensor:
        """Returns float32 [B, h, w, 3], in deviations from the mean colour.

        Layout: ours.
        """
        x = heads.norm_relu(features, "head_features")
        x = heads.hidden_conv(x, self.config.hidden_channels, "head_hidden")
        return heads.logits_per_place(x, 3, 0.0)

    def loss(self, prediction: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
        """Mean square error of hidden places, in deviations, float32 [B].

        Args:
            prediction: float32 [B, h, w, 3].
            target: float32 [B, h, w, 4], as `color` makes it.
        """
        truth = (target[..., :3] - self._mean) / self._deviation
        return _mean_over(keras.ops.square(prediction - truth), target[..., 3:])

    def metrics(
        self, prediction: tf.Tensor, target: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """How far off colours are, mean over channels, in levels of 255.

        `error`: the guess's; `error_of_visible`: that of the mean of all
        that is visible of the picture.
        """
        ops = keras.ops
        colors, is_hidden = target[..., :3], target[..., 3:]
        is_visible = 1.0 - is_hidden
        visible = ops.sum(
            colors * is_visible, axis=(1, 2), keepdims=True
        ) / ops.sum(is_visible, axis=(1, 2), keepdims=True)
        guess = self._mean + self._deviation * prediction
        return {
            "error": _mean_over(ops.abs(guess - colors), is_hidden),
            "error_of_visible": _mean_over(
                ops.abs(visible - colors), is_hidden
            ),
        }

    def chance(self) -> dict[str, float]:
        """The mean colour of all pictures, for every hidden place."""
        return {"loss": self._guess_loss, "error": self._spread}

    def draw(
        self, views: np.ndarray, target: np.ndarray, prediction: np.ndarray
    ) -> np.ndarray:
        """The picture with its hole, and with true and guessed colours in."""
        rows = []
        guess = self._mean + self._deviation * prediction
        for view, truth, colors in zip(
            self.to_displayed(views)[:, 0], target, guess
        ):
            is_hidden = truth[..., 3] > 0.5
            pictures = [view] + [
                _filled(view, each, is_hidden) for each in (truth, colors)
            ]
            rows.append(drawing.row(pictures, "seen, true, predicted"))
        return np.concatenate(rows)


def _mean_over(values: Any, is_hidden: Any) -> Any:
    """Returns the mean over hidden places and channels, float32 [B].

    Args:
        values: float32 [B, h, w, 3].
        is_hidden: float32 [B, h, w, 1] of 0 and 1.
    """
    ops = keras.ops
    total = ops.sum(values * is_hidden, axis=(1, 2, 3))
    return total / (values.shape[-1] * ops.sum(is_hidden, axis=(1, 2, 3)))


def _filled(
    view: np.ndarray, colors: np.ndarray, is_hidden: np.ndarray
) -> np.ndarray:
    """Returns a view whose hidden places have these colours.

    Args:
        view: uint8 [H, W, 3].
        colors: float32 [h, w, 3 or more], in [0, 255].
        is_hidden: bool [h, w].
    """
    levels = np.rint(np.clip(colors[..., :3], 0, 255)).astype(np.uint8)
    places = np.ones((per_place.STRIDE, per_place.STRIDE, 1), np.uint8)
    hides = np.kron(is_hidden[..., None], places).astype(bool)
    return np.where(hides, np.kron(levels, places), view)
