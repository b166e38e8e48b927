"""Jigsaw: how were the nine tiles of this picture shuffled?

Noroozi and Favaro, "Unsupervised Learning of Visual Representations by Solving
Jigsaw Puzzles", ECCV 2016. A square of a picture is cut into three by three
cells, from each a smaller tile is taken, and the tiles come in one of a set of
orders that differ much from each other; the answer is which.

What would give it away without a look at the tiles, and is blocked: edges that
go on (a tile lies anywhere in its cell), brightness and contrast that do
(each channel of each tile is brought to one mean and deviation), and colours
that a lens shifts (`data/drop_colors.py`, where the article jitters channels).

Ours: orders are chosen by their smallest distance first, where the article
takes the mean distance; the head's layout.
"""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses
import functools
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

GRID = 3  # release
NUM_TILES = GRID**2
MEAN, DEVIATION = 127.5, 42.0  # ours: 3 deviations fit into 0..255
# ours: in grey levels. What is flatter is left so: it is a sky's noise.
_LEAST_DEVIATION = 4.0


@dataclasses.dataclass(frozen=True)
class JigsawConfig(base.TaskConfig):
    """Options of jigsaw.

    Attributes:
        short_side_px: the picture is scaled to this first.
        cell_px: side of a cell of the grid.
        tile_px: side of a tile, anywhere in its cell.
        num_orders: permutations to choose from.
        hidden_units: width of the head's fully connected layers.
    """

    short_side_px: int = settings.ranged(256, at_least=1)  # release
    cell_px: int = settings.ranged(75, at_least=1)  # release
    tile_px: int = settings.ranged(64, at_least=1)  # release
    num_orders: int = settings.ranged(64, at_least=2, at_most=2000)
    hidden_units: int = settings.ranged(1024, at_least=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if GRID * self.cell_px > self.short_side_px:
            raise ValueError(
                f"cell_px={self.cell_px}: {GRID} cells are wider than "
                f"short_side_px={self.short_side_px}."
            )
        if self.tile_px >= self.cell_px:
            raise ValueError(
                f"tile_px={self.tile_px} leaves no gap in "
                f"cell_px={self.cell_px}: edges would go on from tile to tile."
            )


class Jigsaw(classification.Classification):
    """Nine shuffled tiles in, the order of their shuffling out."""

    name: ClassVar[str] = "jigsaw"
    source: ClassVar[str] = "images"
    words: ClassVar[words_lib.TaskWords] = words_lib.TaskWords(
        question="How were the nine tiles of this picture shuffled?",
        shows="the shuffled tiles, put right, and put as was predicted",
        result=(
            "It names the right order {accuracy:.1%} of the time, a blind "
            "guess {chance_accuracy:.1%}."
        ),
        share_right="accuracy",
    )
    side_setting: ClassVar[str | None] = "short_side_px"
    is_harmonized: ClassVar[bool] = True
    Config: ClassVar[type[base.TaskConfig]] = JigsawConfig
    presets: ClassVar[Mapping[str, base.TaskConfig]] = {
        "tiny": JigsawConfig(
            short_side_px=120, cell_px=38, tile_px=32, hidden_units=256
        ),
        "small": JigsawConfig(
            short_side_px=160,
            cell_px=52,
            tile_px=44,
            num_orders=100,
            hidden_units=512,
        ),
        # release: a thousand orders
        "paper": JigsawConfig(num_orders=1000, learning_rate=1e-4),
    }

    @property
    def orders(self) -> np.ndarray:
        """Returns int32 [num_orders, 9]: which cell's tile comes at a place."""
        return distant_orders(self.config.num_orders)

    def cut(
        self, example: dict[str, tf.Tensor], seed: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """Cuts and shuffles tiles; `target` is int32 [], the order."""
        config, image = self.config, example["image"]
        share = tf.random.stateless_uniform([3 + 2 * NUM_TILES], seed)
        size = resize.scaled_size(image, config.short_side_px)
        corner = resize.corner_in_room(size - GRID * config.cell_px, share[:2])
        cells = np.stack(np.divmod(np.arange(NUM_TILES), GRID), -1)
        gap = config.cell_px - config.tile_px
        offsets = resize.corner_in_room(
            tf.fill([2 * NUM_TILES], gap), share[3:]
        )
        corners = (
            corner
            + tf.constant(cells * config.cell_px, tf.int32)
            + tf.reshape(offsets, [NUM_TILES, 2])
        )
        number = resize.between(0, config.num_orders - 1, share[2])
        order = tf.gather(tf.constant(self.orders), number)
        # Off the middle between two pixels, where the last bit of the scale
        # would decide: a graph divides by another way than Python does.
        places = tf.cast(tf.gather(corners, order), tf.float32) - 1e-3
        views = resize.cut_patches(
            image,
            config.short_side_px,
            tf.ensure_shape(places, [NUM_TILES, 2]),
            config.tile_px,
        )
        return {"views": views, "target": number}

    def color(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Brings tiles to one brightness and contrast, and drops colours."""
        views = standardized(keras.ops.cast(batch["views"], "float32"))
        if not self.config.grey_input:
            views = drop_colors.drop_colors(views, batch["seed"])
        return {"views": self.to_trunk_input(views), "target": batch["target"]}

    def build_head(self, features: keras.KerasTensor) -> keras.KerasTensor:
        """Returns logits float32 [B, num_orders] (layout: ours)."""
        width = self.config.hidden_units
        x = heads.norm_relu(features, "head_features")
        x = heads.flatten(x)  # [B * 9, h' * w' * C]
        x = heads.hidden_dense(x, width, "head_tile")
        x = keras.ops.reshape(x, (-1, NUM_TILES * width))
        x = heads.hidden_dense(x, width, "head_hidden")
        return heads.logits(x, self.num_classes)

    @property
    def num_classes(self) -> int:
        return self.config.num_orders

    def draw(
        self, views: np.ndarray, target: np.ndarray, prediction: np.ndarray
    ) -> np.ndarray:
        """Tiles as they come, put right, and put as was predicted."""
        rows = []
        for tiles, truth, logits in zip(
            self.to_displayed(views), target, prediction
        ):
            guess = int(np.argmax(logits))
            orders = (np.arange(NUM_TILES), *self.orders[[truth, guess]])
            rows.append(
                drawing.row(
                    [_laid_out(tiles, order) for order in orders],
                    f"order {truth}, said {guess}",
                )
            )
        return np.concatenate(rows)


@functools.cache
def distant_orders(num_orders: int) -> np.ndarray:
    """Returns permutations of nine that differ much from each other.

    Greedily, from the one that changes nothing: the next is the one whose
    smallest Hamming distance to those before is largest; of these the one
    with the largest sum of distances; of these the first. So the same number
    always gives the same ones.

    Args:
        num_orders: how many.

    Returns:
        int32 [num_orders, 9].
    """
    known = np.zeros((1, 1), np.uint8)
    for value in range(1, NUM_TILES):
        known = np.concatenate(
            [
                np.insert(known, place, value, axis=1)
                for place in range(value, -1, -1)
            ]
        )  # [(value + 1)!, value + 1], the unchanged one first
    columns = np.ascontiguousarray(known.T)  # [9, 9!], summed faster
    chosen = [0]
    nearest = np.full(len(known), NUM_TILES, np.int32)
    total = np.zeros(len(known), np.int32)
    while len(chosen) < num_orders:
        differs = columns != columns[:, chosen[-1], None]
        distance = differs.sum(axis=0, dtype=np.uint8)
        nearest = np.minimum(nearest, distance)
        total += distance
        # One number: a sum is below 9 times the number of orders.
        rank = nearest * (NUM_TILES * num_orders) + total
        chosen.append(int(rank.argmax()))
    return known[chosen].astype(np.int32)


def standardized(tiles: Any) -> Any:
    """Brings each channel of each tile to `MEAN` and `DEVIATION`.

    Args:
        tiles: float32 [B, V, h, w, 3] in [0, 255].

    Returns:
        float32 [B, V, h, w, 3] in [0, 255].
    """
    ops = keras.ops
    mean = ops.mean(tiles, axis=(2, 3), keepdims=True)
    deviation = ops.std(tiles, axis=(2, 3), keepdims=True)
    scale = DEVIATION / ops.maximum(deviation, _LEAST_DEVIATION)
    return ops.clip(MEAN + (tiles - mean) * scale, 0.0, 255.0)


def _laid_out(tiles: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Returns tiles uint8 [9, h, w, 3] as one picture, each at its place."""
    at_places = np.empty_like(tiles)
    at_places[places] = tiles
    height, width = tiles.shape[1:3]
    grid = at_places.reshape(GRID, GRID, height, width, 3)
    framed = np.pad(
        grid, ((0, 0), (0, 0), (1, 1), (1, 1), (0, 0)), constant_values=255
    )
    return np.concatenate(np.concatenate(framed, axis=1), axis=1)
