"""From sources to batches of one task."""

from __future__ import annotations

import numpy as np

from mtssl_tf.data import order
from mtssl_tf.data import skipped as skipped_lib
from mtssl_tf.data import source as source_lib
from mtssl_tf.lazy_imports import tf
from mtssl_tf.process import plain_graphs
from mtssl_tf.tasks import base


def views_shape(task: base.Task) -> tuple[int, int, int, int]:
    """Returns V, h, w and channels of a task's views."""
    example = {
        "image": tf.TensorSpec([None, None, 3], tf.uint8),
        "moving": tf.TensorSpec([None, None, 1], tf.uint8),
        "class": tf.TensorSpec([], tf.int32),
        "class_names": tf.TensorSpec([None], tf.string),
        "num_pictures": tf.TensorSpec([], tf.int64),
    }
    if task.num_frames > 1:
        example["frames"] = tf.TensorSpec(
            [task.num_frames, None, None, 3], tf.uint8
        )
    traced = tf.function(task.cut, autograph=False).get_concrete_function(
        example, tf.TensorSpec([2], tf.int32)
    )
    return tuple(traced.structured_outputs["views"].shape)


@plain_graphs.traces_as_written
def build_batches(
    task: base.Task,
    source: source_lib.Source,
    seed: int,
    skipped: skipped_lib.SkippedExamples,
    first_position: int = 0,
    num_positions: int | None = None,
    part: tuple[int, int] = (0, 1),
) -> tf.data.Dataset:
    """Returns a task's batches from a position on.

    The same arguments give the same batches, to the bit: nothing depends on
    timing, and all randomness comes from `seed` and the position.

    Examples of one picture, `patches_per_picture`, stand beside each other,
    each cut and coloured by a seed of its own.

    Args:
        task: makes views and targets.
        source: gives its examples.
        seed: the run's seed.
        skipped: gets the names of what could not be used.
        first_position: example to start at in the endless order; the first
            of a batch.
        num_positions: how many examples to go; None never ends.
        part: index and number of the equal parts that each batch is cut
            into, one for each worker of a group; the whole one by default.
            No picture is in two.

    Returns:
        dicts of what the task's `cut` gave, and `seed`, int32 [B, 2], as its
        `color` takes them. A last batch that is not full is left out.
    """

    def cut(example: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        example_seed = order.example_seed(example.pop("position"), seed)
        return {**task.cut(example, example_seed), "seed": example_seed}

    if num_positions is None:
        num_positions = np.iinfo(np.int64).max - first_position
    index, num_parts = part
    patches = task.config.patches_per_picture
    part_size = task.config.pictures_per_batch // num_parts

    first_picture = first_position // patches  # positions of pictures below

    def position_in_part(count: tf.Tensor) -> tf.Tensor:
        batch, picture = count // part_size, count % part_size
        first = first_picture + batch * task.config.pictures_per_batch
        return first + index * part_size + picture

    def repeat(example: dict[str, tf.Tensor]) -> tf.data.Dataset:
        first = example["position"] * patches
        return tf.data.Dataset.range(patches).map(
            lambda number: {**example, "position": first + number}
        )

    positions = tf.data.Dataset.range(
        num_positions // patches // num_parts
    ).map(position_in_part)
    examples = source.stream(
        positions, seed, skipped, task.smallest_side_px, task.num_frames
    )
    if patches > 1:
        examples = examples.flat_map(repeat)
    return (
        examples.map(cut, tf.data.AUTOTUNE, deterministic=True)
        .batch(part_size * patches, drop_remainder=True)
        .prefetch(tf.data.AUTOTUNE)
    )
