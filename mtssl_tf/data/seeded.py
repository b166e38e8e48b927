"""Random numbers of a batch, where each example's follow from its own seed.

Keras and TensorFlow draw for a whole batch from one seed; then an example
would look otherwise in another batch, and N workers would not equal one. So
numbers are a hash of seed and place, as in counter-based generators (Salmon et
al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011): whole-number
arithmetic, a batch at a time, the same on every back end and device.
"""

from __future__ import annotations

import enum
import math
from typing import Any

import numpy as np

from mtssl_tf.lazy_imports import keras

# release: Wellons, "Prospecting for hash functions" (lowbias32).
_SHIFTS = (16, 15, 16)
_FACTORS = (0x7FEB352D, 0x846CA68B)
_GOLDEN = 0x9E3779B9  # 2^32 over the golden ratio: neighbours lie far apart


@enum.unique
class Stream(enum.IntEnum):
    """What numbers are drawn for: those of different streams are independent.

    A new one gets a number of its own, and keeps it: it decides what views a
    run sees.
    """

    KEPT_CHANNEL = 1
    NOISE = 2
    THIRD_PATCH = 100
    CONTRAST = 101
    COLORS = 102
    GREY = 103
    HIDDEN_PLACE = 105
    INCEPTION = 201


def uniform(seeds: Any, stream: Stream, shape: tuple[int, ...]) -> Any:
    """Draws from [0, 1).

    Args:
        seeds: int32 [B, 2].
        stream: what they are for.
        shape: of an example's numbers.

    Returns:
        float32 [B, *shape].
    """
    ops = keras.ops
    bits = _bits(seeds, stream, math.prod(shape))
    # 24 bits: as many as float32 holds.
    values = ops.cast(ops.right_shift(bits, _word(8)), "float32") * 2.0**-24
    return ops.reshape(values, (-1, *shape))


def normal(seeds: Any, stream: Stream, shape: tuple[int, ...]) -> Any:
    """Draws from the standard normal distribution, cut off at 4.8.

    By Box and Muller's transform of two 16-bit numbers: a pair for each hash.

    Args:
        seeds: int32 [B, 2].
        stream: what they are for.
        shape: of an example's numbers.

    Returns:
        float32 [B, *shape].
    """
    ops = keras.ops
    count = math.prod(shape)
    bits = _bits(seeds, stream, (count + 1) // 2)
    high = ops.cast(ops.right_shift(bits, _word(16)), "float32")
    low = ops.cast(ops.bitwise_and(bits, _word(0xFFFF)), "float32")
    # Half a step off zero, whose logarithm is not finite.
    radius = ops.sqrt(-2.0 * ops.log((high + 0.5) * 2.0**-16))
    angle = low * (2.0 * math.pi * 2.0**-16)
    pairs = ops.concatenate(
        [radius * ops.cos(angle), radius * ops.sin(angle)], -1
    )
    return ops.reshape(pairs[:, :count], (-1, *shape))


def _bits(seeds: Any, stream: Stream, count: int) -> Any:
    """Returns uint32 [B, count], each a hash of seed, stream and place."""
    ops = keras.ops
    words = ops.cast(seeds, "uint32")
    key = _hash(words[:, :1] + _word(stream * _GOLDEN))
    key = _hash(ops.bitwise_xor(key, words[:, 1:]))
    places = np.arange(count, dtype=np.uint64) * _GOLDEN % 2**32
    places = ops.convert_to_tensor(places.astype(np.uint32))
    return _hash(ops.bitwise_xor(_hash(places + key), key))


def _hash(word: Any) -> Any:
    """Mixes uint32: every bit of the result depends on all of `word`."""
    ops = keras.ops
    for number, shift in enumerate(_SHIFTS):
        word = ops.bitwise_xor(word, ops.right_shift(word, _word(shift)))
        if number < len(_FACTORS):
            word = word * _word(_FACTORS[number])
    return word


def _word(value: int) -> Any:
    return keras.ops.convert_to_tensor(value % 2**32, "uint32")
