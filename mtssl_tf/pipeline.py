"""From sources to batches of one task."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
import dataclasses
from typing import Any

import numpy as np

from mtssl_tf.data import decode
from mtssl_tf.data import order
from mtssl_tf.data import picture_source
from mtssl_tf.data import pictures
from mtssl_tf.data import videos
from mtssl_tf.lazy_imports import tf
from mtssl_tf.tasks import base


class SourceError(ValueError):
    """A source has no usable example left."""


Source = picture_source.PictureSource | videos.VideoSource


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
    is_held_out = picture_source.split_held_out(source.names, held_out_share)
    if not is_held_out.any():
        return SplitSource(source, None)
    return SplitSource(
        source.subset(np.flatnonzero(~is_held_out)),
        source.subset(np.flatnonzero(is_held_out)),
    )


def stream_examples(
    source: Source,
    positions: tf.data.Dataset,
    seed: int,
    skipped: decode.SkippedPictures,
) -> tf.data.Dataset:
    """Returns the examples at the positions, undistorted."""
    if isinstance(source, videos.VideoSource):
        return videos.stream_frames(source, positions, seed, skipped)
    return pictures.stream_pictures(source, positions, seed, skipped)


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


def views_shape(task: base.Task) -> tuple[int, int, int, int]:
    """Returns V, h, w and channels of a task's views."""
    example = {
        "image": tf.TensorSpec([None, None, 3], tf.uint8),
        "moving": tf.TensorSpec([None, None, 1], tf.uint8),
        "class": tf.TensorSpec([], tf.int32),
        "class_names": tf.TensorSpec([None], tf.string),
    }
    traced = tf.function(task.preprocess).get_concrete_function(
        example, tf.TensorSpec([2], tf.int32)
    )
    return tuple(traced.structured_outputs["views"].shape)


def build_batches(
    task: base.Task,
    source: Source,
    seed: int,
    skipped: decode.SkippedPictures,
    first_position: int = 0,
    num_positions: int | None = None,
    part: tuple[int, int] = (0, 1),
) -> tf.data.Dataset:
    """Returns a task's batches from a position on.

    The same arguments give the same batches, to the bit: nothing depends on
    timing, and all randomness comes from `seed` and the position.

    Args:
        task: makes views and targets.
        source: gives its examples.
        seed: the run's seed.
        skipped: gets the names of what could not be used.
        first_position: where to start in the endless order.
        num_positions: how far to go; None never ends.
        part: index and number of the equal parts that each batch is cut
            into, one for each worker of a group; the whole one by default.

    Returns:
        dicts of `views`, float32 [B, V, h, w, 3], and `target`. A last batch
        that is not full is left out.
    """

    def preprocess(example: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        example_seed = order.example_seed(example.pop("position"), seed)
        return task.preprocess(example, example_seed)

    if num_positions is None:
        num_positions = np.iinfo(np.int64).max - first_position
    index, num_parts = part
    part_size = task.config.batch_size // num_parts

    def position_in_part(count: tf.Tensor) -> tf.Tensor:
        batch, example = count // part_size, count % part_size
        first = first_position + batch * task.config.batch_size
        return first + index * part_size + example

    positions = tf.data.Dataset.range(num_positions // num_parts).map(
        position_in_part
    )
    examples = stream_examples(source, positions, seed, skipped)
    return (
        examples.map(preprocess, tf.data.AUTOTUNE, deterministic=True)
        .batch(part_size, drop_remainder=True)
        .prefetch(tf.data.AUTOTUNE)
    )
