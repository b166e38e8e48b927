"""What every source of examples is, and how it is cut and iterated."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
import dataclasses
import hashlib
from typing import Any, Protocol

import numpy as np

from mtssl_tf.data import skipped as skipped_lib
from mtssl_tf.lazy_imports import tf


class SourceError(ValueError):
    """A source has no usable example left."""


class Source(Protocol):
    """Examples that can be read in any order.

    `pictures.PictureSource` and `videos.VideoSource` are the two kinds.
    """

    @property
    def description(self) -> str:
        """What the user named."""

    @property
    def names(self) -> tuple[str, ...]:
        """A name for each example that a person can find."""

    def __len__(self) -> int:
        """Returns the number of examples."""

    def subset(self, numbers: np.ndarray) -> Source:
        """Returns the source of only the examples `numbers`, int64 [n]."""

    def stream(
        self,
        positions: tf.data.Dataset,
        seed: int,
        skipped: skipped_lib.SkippedExamples,
    ) -> tf.data.Dataset:
        """Returns the example at each position, undistorted.

        Every position gives exactly one example: one that cannot be used is
        replaced by another. So a position is all that a checkpoint needs to
        hold about the data.

        Args:
            positions: int64 [] positions in the order of `seed`
                (`data/order.py`).
            seed: the run's seed.
            skipped: gets the names of what could not be used.

        Returns:
            dicts of `image`, uint8 [H, W, 3] RGB, `position`, int64 [], and
            what the kind of source adds.
        """


@dataclasses.dataclass(frozen=True)
class SplitSource:
    """A source, cut into what is trained on and what is held out.

    Attributes:
        training: examples for training.
        held_out: examples for judging; None where nothing is held out.
    """

    training: Source
    held_out: Source | None


def split_source(source: Source, held_out_share: float) -> SplitSource:
    """Holds a share of a source's pictures or clips out of training."""
    is_held_out = choose_held_out(source.names, held_out_share)
    if not is_held_out.any():
        return SplitSource(source, None)
    return SplitSource(
        source.subset(np.flatnonzero(~is_held_out)),
        source.subset(np.flatnonzero(is_held_out)),
    )


def choose_held_out(names: tuple[str, ...], share: float) -> np.ndarray:
    """Chooses what is kept out of training, by name alone.

    A name keeps its side when other files come and go. At least one is held
    out where `share` is above 0 and there is more than one.

    Returns:
        bool [n].
    """
    hashes = np.array(
        [
            int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big")
            for name in names
        ],
        np.float64,
    )
    is_held_out = hashes < share * 2**32
    if share > 0 and len(names) > 1 and not is_held_out.any():
        is_held_out[hashes.argmin()] = True
    if is_held_out.all():
        is_held_out[hashes.argmax()] = False
    return is_held_out


def iterate(dataset: Iterable[Any], source: Source) -> Iterator[Any]:
    """Yields a dataset's elements, with a plain error where it has no more.

    Raises:
        SourceError: so many examples of `source` in a row cannot be used that
            it makes no sense to go on.
    """
    try:
        yield from dataset
        return
    except tf.errors.InvalidArgumentError:
        pass
    # Not from within the handler: the first error would keep the iterator,
    # whose threads go on reading and hold up the end of the process.
    raise SourceError(
        f"Too many examples of {source.description} in a row cannot be used. "
        "The log names what was skipped and why; check the files, or leave "
        "out the tasks that need them."
    )


def iterate_once(dataset: Iterable[Any], source: Source) -> Iterator[Any]:
    """Yields what is made of every usable example of a source.

    Raises:
        SourceError: there is none.
    """
    is_empty = True
    for element in dataset:
        is_empty = False
        yield element
    if is_empty:
        raise SourceError(
            f"None of the {len(source)} examples of {source.description} can "
            "be used. The log names each and says why."
        )
