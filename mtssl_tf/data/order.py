"""In which order examples are used: a pure function of seed and position.

Position p of a task is its p-th example since the start of training. Each
pass over the n examples is a fresh pseudo-random permutation, computed and not
stored, so that a run resumes at any position at no cost and any number of
workers can share one order.
"""

from __future__ import annotations

from collections.abc import Callable
import functools

from mtssl_tf.lazy_imports import tf

_MARK = 498247692  # release: TensorFlow's, in `index_shuffle`
_BLOCK, _MAX_BLOCKS = 256, 64  # ours: places that are looked up at a time


def example_index(position: tf.Tensor, num_examples: int, seed: int):
    """Returns which example stands at `position`.

    Args:
        position: int64 [] or [n], at least 0.
        num_examples: how many examples there are.
        seed: the run's seed.

    Returns:
        int64, as many, in [0, num_examples).
    """
    if num_examples == 1:
        return tf.zeros_like(position)
    epoch = tf.cast(position // num_examples, tf.int32)
    # `tf.random.experimental.index_shuffle` takes one index only: it puts its
    # mark before the first of many seeds and not into each.
    marked = tf.stack(
        [tf.fill(tf.shape(epoch), value) for value in (_MARK, seed)] + [epoch],
        axis=-1,
    )
    return tf.raw_ops.RandomIndexShuffle(
        index=position % num_examples,
        seed=marked,
        max_index=tf.constant(num_examples - 1, tf.int64),
    )


def lookup(num_examples: int, seed: int) -> Callable[[int], int]:
    """Returns `example_index` for Python, which remembers what it finds.

    Among few examples a place takes as long to find as a small picture's
    window to cut: TensorFlow shuffles in 16 bits at least, and goes on until
    it falls under `num_examples`.

    Args:
        num_examples: how many examples there are.
        seed: the run's seed.
    """

    @functools.lru_cache(_MAX_BLOCKS)
    def block(number: int) -> list[int]:
        first = number * _BLOCK
        with tf.device("CPU:0"):
            positions = tf.range(first, first + _BLOCK, dtype=tf.int64)
            return example_index(positions, num_examples, seed).numpy().tolist()

    return lambda position: block(position // _BLOCK)[position % _BLOCK]


def example_seed(position: tf.Tensor, seed: int) -> tf.Tensor:
    """Returns the int32 [2] seed of the augmentation at `position`."""
    return tf.random.experimental.stateless_fold_in([seed, 0], position)


def frame_seed(position: tf.Tensor, seed: int) -> tf.Tensor:
    """Returns the int32 [2] seed of which frame of a clip is at `position`.

    Another than the augmentation's: what a task draws first, its answer even,
    would follow from the frame.
    """
    return tf.random.experimental.stateless_fold_in([seed, 1], position)
