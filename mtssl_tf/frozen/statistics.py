"""Per-channel statistics of a trunk's units, which have no batch norm.

A unit of block 3 is a raw sum: channels differ in mean and size by orders of
magnitude, and whoever reads it begins with batch norm and ReLU. Vectors have
no head that learns one, so they take mean and variance over pictures and
positions of what the trunk was trained on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
import dataclasses
import os
import pathlib
from typing import Any

import numpy as np

from mtssl_tf.files import arrays_file
from mtssl_tf.files import json_file
from mtssl_tf.frozen import reading as reading_lib
from mtssl_tf.lazy_imports import keras
from mtssl_tf.lazy_imports import tf
from mtssl_tf.models import input_contract
from mtssl_tf.process import atomic_file

NUM_PICTURES = 256  # ours
_EPSILON = 1e-5  # that of the trunk's own batch norms


@dataclasses.dataclass(frozen=True)
class ChannelStatistics:
    """Of one unit or mix.

    Attributes:
        mean: float32 [C].
        variance: float32 [C].
        num_pictures: that they were measured on.
    """

    mean: np.ndarray
    variance: np.ndarray
    num_pictures: int

    def apply(self, features: Any) -> Any:
        """Standardises, and applies ReLU.

        Args:
            features: float [B, h, w, C].

        Returns:
            float [B, h, w, C], at least 0.
        """
        std = np.sqrt(self.variance + _EPSILON).astype(np.float32)
        return keras.ops.relu((features - self.mean) / std)


@dataclasses.dataclass
class _Moments:
    """Mean and variance of all values so far, batch by batch."""

    count: int = 0
    mean: np.ndarray | float = 0.0
    squares: np.ndarray | float = 0.0  # summed distances from the mean

    def add(self, count: int, mean: np.ndarray, variance: np.ndarray) -> None:
        """Takes in a batch: Chan, Golub and LeVeque 1983, eq. 2.1."""
        total = self.count + count
        apart = mean - self.mean
        self.squares = (
            self.squares
            + variance * count
            + np.square(apart) * self.count * count / total
        )
        self.mean = self.mean + apart * count / total
        self.count = total


def measure(
    trunk: keras.Model,
    contract: input_contract.InputContract,
    readings: Sequence[reading_lib.Reading],
    batches: Iterable,
) -> dict[str, ChannelStatistics]:
    """Measures all channels of units and mixes.

    Args:
        trunk: is called in inference mode.
        contract: of its input.
        readings: what to measure.
        batches: of (pictures, uint8 [B, H, W, 3], anything).

    Returns:
        Statistics by the readings' names; empty where there is no batch.
    """
    moments_of = _build_moments(trunk, contract, readings)
    moments = {each.name: _Moments() for each in readings}
    num_pictures = 0
    for images, _ in batches:
        num_pictures += len(images)
        for name, (count, mean, variance) in moments_of(images).items():
            moments[name].add(
                int(count),
                mean.numpy().astype(np.float64),
                variance.numpy().astype(np.float64),
            )
    if not num_pictures:
        return {}
    return {
        name: ChannelStatistics(
            np.asarray(each.mean, np.float32),
            np.asarray(each.squares / each.count, np.float32),
            num_pictures,
        )
        for name, each in moments.items()
    }


def _build_moments(
    trunk: keras.Model,
    contract: input_contract.InputContract,
    readings: Sequence[reading_lib.Reading],
) -> Callable[[tf.Tensor], dict[str, tuple]]:
    """Builds pictures -> name -> values a channel, mean and variance."""

    @tf.function(jit_compile=False, reduce_retracing=True, autograph=False)
    def moments_of(images: tf.Tensor) -> dict[str, tuple]:
        units = trunk(contract.apply(images), training=False)
        found = {}
        for each in readings:
            features = each.apply(units)
            mean, variance = tf.nn.moments(features, [0, 1, 2])
            count = tf.reduce_prod(tf.shape(features)[:3])
            found[each.name] = (count, mean, variance)
        return found

    return moments_of


def save(
    statistics: Mapping[str, ChannelStatistics], path: pathlib.Path
) -> None:
    """Writes statistics as an .npz file."""
    arrays: dict[str, Any] = {}
    for name, each in statistics.items():
        arrays[f"{name}/mean"] = each.mean
        arrays[f"{name}/variance"] = each.variance
        arrays[f"{name}/num_pictures"] = np.int64(each.num_pictures)
    with atomic_file.open_new(path) as file:
        np.savez(file, **arrays)


def load(path: str | os.PathLike) -> dict[str, ChannelStatistics]:
    """Reads what `save` wrote.

    Raises:
        ValueError: the file is damaged.
    """
    remedy = "Make it anew."
    stored = arrays_file.load(path, remedy)
    names = {key.rpartition("/")[0] for key in stored}
    with json_file.naming(path, remedy):
        return {
            name: ChannelStatistics(
                stored[f"{name}/mean"],
                stored[f"{name}/variance"],
                int(stored[f"{name}/num_pictures"]),
            )
            for name in sorted(names)
        }
