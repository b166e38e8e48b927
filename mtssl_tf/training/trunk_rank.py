"""Rank and collapse of the trunk's vectors while it trains: no labels needed.

Vectors are what `python -m mtssl_tf.embed --raw` gives: the last unit, the
mean over positions, neither centred nor standardised. They are of the same
examples every time: pictures chosen by name, those that are held out first; in
a run on clips alone the frames of its first batches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
import dataclasses
import typing

import numpy as np
import tensorflow as tf

from mtssl_tf.data import pictures as pictures_lib
from mtssl_tf.data import source as source_lib
from mtssl_tf.frozen import rank
from mtssl_tf.frozen import reading
from mtssl_tf.frozen import vectors as vectors_lib
from mtssl_tf.frozen import view as view_lib
from mtssl_tf.frozen import views
from mtssl_tf.models import trunk as trunk_lib
from mtssl_tf.process import plain_graphs
from mtssl_tf.training import run as run_lib

_BATCH_SIZE = 64
# ours: each is of a part of a clip that has to be labelled first, and these
# are labelled for training.
_MAX_FRAMES = 256


class TrunkRank:
    """Measures a run's trunk, on pictures that are decoded once."""

    def __init__(self, run: run_lib.Run) -> None:
        """Takes a run; its pictures are read at the first measurement."""
        self._run = run
        self._view = view_lib.PRESETS[run.config.preset]
        self._images: np.ndarray | None = None
        self._extract: Callable[[tf.Tensor], tf.Tensor] | None = None

    def measure(self, check: Callable[[], None]) -> rank.RankFigures:
        """Measures the trunk as it is now, in inference mode.

        Args:
            check: called before each batch; may raise, to cut this short.

        Raises:
            SourceError: no picture can be used.
        """
        if self._images is None:
            self._images = self._load()
        if self._extract is None:
            self._extract = self._build_extract()
        found = []
        for start in range(0, len(self._images), _BATCH_SIZE):
            check()
            images = self._images[start : start + _BATCH_SIZE]
            found.append(self._extract(images).numpy())
        return rank.measure(np.concatenate(found))

    def _build_extract(self) -> Callable[[tf.Tensor], tf.Tensor]:
        config = self._run.config
        at_stride = dataclasses.replace(
            config.trunk,
            output_stride=config.trunk.stride_up_to(self._view.output_stride),
        )
        trunk = trunk_lib.build_trunk(at_stride, share=self._run.trunk)
        return vectors_lib.build_vectors(
            trunk,
            config.contract,
            reading.of_unit(max(trunk.output)),
            "mean",
            None,
            (self._view.image_px, self._view.image_px),
        )

    def _load(self) -> np.ndarray:
        """Returns the views, uint8 [N, H, W, 3]."""
        split = self._run.sources.get("images")
        if split is None:
            return self._load_frames(self._run.sources["videos"])
        parts = []
        left = rank.MAX_VECTORS
        for source in (split.held_out, split.training):
            if source is not None and left:
                parts += self._load_pictures(source, left)
                left -= min(left, len(source))
        return _concatenate(parts, split.training)

    def _load_pictures(
        self, source: source_lib.Source, most: int
    ) -> list[np.ndarray]:
        pictures = typing.cast(pictures_lib.PictureSource, source)
        hashes = source_lib.hash_names(pictures.names)
        batches = views.centre_view_batches(
            pictures.subset(rank.choose(hashes, most)),
            self._view.resize_px,
            self._view.image_px,
            _BATCH_SIZE,
            self._run.skipped,
        )
        return [images.numpy() for images, _ in batches]

    @plain_graphs.traces_as_written
    def _load_frames(self, split: source_lib.SplitSource) -> np.ndarray:
        frames = split.training.stream(
            tf.data.Dataset.range(_MAX_FRAMES),
            self._run.config.train.seed,
            self._run.skipped,
        )
        batches = frames.map(self._view_of, tf.data.AUTOTUNE).batch(_BATCH_SIZE)
        found: Iterable = source_lib.iterate(batches, split.training)
        return _concatenate([each.numpy() for each in found], split.training)

    def _view_of(self, example: dict[str, tf.Tensor]) -> tf.Tensor:
        view = self._view
        return views.centre_view(
            example["image"], view.resize_px, view.image_px
        )


def _concatenate(
    parts: list[np.ndarray], source: source_lib.Source
) -> np.ndarray:
    if not parts:
        raise source_lib.SourceError(
            f"None of the examples of {source.description} can be used for "
            "the trunk's rank. The log names each and says why."
        )
    return np.concatenate(parts)
