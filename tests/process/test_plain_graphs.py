"""Datasets are traced as written, and say what that does not allow."""

import pytest
import tensorflow as tf

from mtssl_tf.process import plain_graphs


def _larger(x, y):
    """Returns the larger of two, by a branch over tensors."""
    if x > y:
        return x
    return y


def _dataset(function):
    """Datasets in a dataset, as pictures are read."""

    def pairs(first):
        seconds = tf.data.Dataset.range(2)
        return seconds.map(lambda second: (first, second)).map(function)

    return tf.data.Dataset.range(3).interleave(pairs)


def test_a_branch_over_tensors_is_an_error():
    expected = [0, 1, 1, 1, 2, 2]
    assert sorted(_dataset(_larger).as_numpy_iterator()) == expected
    build = plain_graphs.traces_as_written(_dataset)
    assert sorted(build(tf.maximum).as_numpy_iterator()) == expected
    with pytest.raises(TypeError, match="as a Python `bool`"):
        build(_larger)
    # Who needs one says so.
    assert sorted(build(tf.function(_larger)).as_numpy_iterator()) == expected
