"""A trunk, its pictures and how they become vectors, ready to be used."""

from __future__ import annotations

from collections.abc import Callable
import dataclasses
import hashlib
import json
import pathlib

from absl import logging
import numpy as np
import tensorflow as tf

from mtssl_tf import config as config_lib
from mtssl_tf import pretrained as pretrained_lib
from mtssl_tf.data import choose_range
from mtssl_tf.data import open_source
from mtssl_tf.data import pictures as pictures_lib
from mtssl_tf.data import skipped as skipped_lib
from mtssl_tf.embedding import own_statistics
from mtssl_tf.embedding import request as request_lib
from mtssl_tf.frozen import reading as reading_lib
from mtssl_tf.frozen import statistics as statistics_lib
from mtssl_tf.frozen import vectors as vectors_lib
from mtssl_tf.frozen import view as view_lib
from mtssl_tf.frozen import views
from mtssl_tf.process import command

BATCH_SIZE = 64  # as in the fast linear evaluation
# A later one gives other vectors: parts of an earlier one are not used.
_VERSION = 1


@dataclasses.dataclass(frozen=True)
class Embedder:
    """What a request means once trunk and pictures are open.

    Attributes:
        request: what was asked for.
        loaded: the trunk, at the stride that it is read at.
        source: the pictures; in place of a class each has its number.
        view: how they are seen.
        reading: what is read.
    """

    request: request_lib.Request
    loaded: pretrained_lib.Pretrained
    source: pictures_lib.PictureSource
    view: view_lib.View
    reading: reading_lib.Reading

    def digest(self) -> str:
        """Returns a digest of everything that decides the vectors."""
        parts = {
            "version": _VERSION,
            "trunk": self.loaded.digest,
            "contract": dataclasses.asdict(self.loaded.contract),
            "value_range": self.source.value_range,
            "view": dataclasses.asdict(self.view),
            "reading": dataclasses.asdict(self.reading),
            "pool": self.request.pool,
            "raw": self.request.raw,
            "pictures": self.source.digest(),
        }
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    def build_extract(
        self, statistics: statistics_lib.ChannelStatistics | None
    ) -> Callable[[tf.Tensor], tf.Tensor]:
        """Returns uint8 [B, H, W, 3] -> float32 [B, D]."""
        return vectors_lib.build_vectors(
            self.loaded.trunk,
            self.loaded.contract,
            self.reading,
            self.request.pool,
            statistics,
            (self.view.image_px, self.view.image_px),
        )

    def extract(
        self,
        extract: Callable[[tf.Tensor], tf.Tensor],
        first: int,
        last: int,
        skipped: skipped_lib.SkippedExamples,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Returns the vectors of the usable pictures of a range.

        Args:
            extract: of `build_extract`.
            first: number of the first picture.
            last: one behind the last.
            skipped: gets the names of the others.

        Returns:
            Their numbers, int64 [n], and vectors, float32 [n, D].
        """
        batches = views.centre_view_batches(
            self.source.subset(np.arange(first, last)),
            self.view.resize_px,
            self.view.image_px,
            BATCH_SIZE,
            skipped,
        )
        numbers = [np.zeros(0, np.int64)]
        vectors = []
        for images, indices in batches:
            numbers.append(indices.numpy().astype(np.int64))
            vectors.append(extract(images).numpy())
        if not vectors:
            return numbers[0], np.zeros((0, 0), np.float32)
        return np.concatenate(numbers), np.concatenate(vectors)

    def find_statistics(
        self,
    ) -> tuple[statistics_lib.ChannelStatistics, str]:
        """Returns the statistics of what is read, and where they are from.

        Those that an export has come first, then those of the run's own
        pictures. Where there is neither they are of the pictures at hand,
        which is said.
        """
        name = self.reading.name
        stored = self.loaded.statistics.get(name)
        if stored is not None:
            return stored, (
                f"of {stored.num_pictures} pictures that the trunk was trained "
                "on, from its export"
            )
        readings = [self.reading]
        try:
            if pretrained_lib.is_random(self.request.trunk):
                raise ValueError("it is a random one")
            found = own_statistics.measure_on_training_pictures(
                self.loaded, pathlib.Path(self.request.trunk), readings
            )[name]
            return found, (
                f"of {found.num_pictures} pictures that the trunk was trained "
                "on"
            )
        except (ValueError, OSError) as error:
            reason = command.describe(error)
        found = own_statistics.measure(
            self.loaded, self.source, self.view, readings
        )[name]
        logging.warning(
            "Statistics are of %d of these pictures, since those that the "
            "trunk was trained on can't be read (%s). Vectors of other "
            "pictures are comparable only if they come from the same command; "
            "--raw does without statistics.",
            found.num_pictures,
            reason,
        )
        return found, f"of {found.num_pictures} of the pictures embedded"


def open_embedder(
    request: request_lib.Request, source: pictures_lib.PictureSource | None
) -> Embedder:
    """Loads the trunk and opens the pictures.

    Args:
        request: what is asked for.
        source: of its pictures, where it is open already.

    Raises:
        ValueError: there is no such unit or mix, or no picture.
        OSError: something is missing.
    """
    if source is None:
        source = open_source.open_pictures(request.images)
    is_random = pretrained_lib.is_random(request.trunk)
    shape = request.preset or request_lib.RANDOM_PRESET
    loaded = pretrained_lib.load_pretrained(
        request.trunk,
        random_config=config_lib.PRESETS[shape].trunk,
        seed=request.seed,
    )
    source = choose_range.settled(source, loaded.contract.value_range)
    view = request.view(shape if is_random else loaded.preset)
    reading = _choose_reading(request, loaded)
    stride = view.output_stride
    if reading.is_mix:
        stride = min(stride, own_statistics.MIXED_STRIDE)
    stride = loaded.config.stride_up_to(stride)
    view = dataclasses.replace(view, output_stride=stride)
    return Embedder(
        request,
        pretrained_lib.at_stride(loaded, view.output_stride),
        source.numbered(),
        view,
        reading,
    )


def _choose_reading(
    request: request_lib.Request, loaded: pretrained_lib.Pretrained
) -> reading_lib.Reading:
    names = sorted(loaded.trunk.output)
    if not request.lasso:
        unit = request.unit or names[-1]
        if unit not in names:
            raise ValueError(
                f"--unit={unit} is no unit of {request.trunk}. It has "
                f"{names[0]} to {names[-1]}."
            )
        return reading_lib.of_unit(unit)
    if request.lasso not in loaded.mixes:
        known = ", ".join(loaded.mixes) or "none"
        raise ValueError(
            f"--lasso={request.lasso}: {request.trunk} has no mix of that "
            f"task. Known: {known}. Runs with --lasso have mixes, and exports "
            "of them that have an export.json."
        )
    return reading_lib.of_mix(request.lasso, loaded.mixes[request.lasso], names)
