"""The picture of the mixes: where rows lie, what is white, what is marked."""

import numpy as np
import pytest

from mtssl_tf.reports import mix_picture


def _count_near(picture, value):
    return int((np.abs(picture.astype(int) - value).max(axis=-1) <= 2).sum())


def test_larger_weights_are_whiter_whatever_their_sign():
    def middle(weight):
        rest = np.sqrt((1 - weight**2) / 5)
        picture = mix_picture.draw_mixes({"task": [weight, *[rest] * 5]})
        dark = picture.max(axis=-1) < 250
        # The first column of squares starts where a row of dark pixels does.
        line = picture.shape[0] // 2
        column = np.flatnonzero(dark[line])
        return picture[line, column[column > 0.2 * picture.shape[1]][4]].mean()

    assert middle(0.2) == middle(-0.2)
    assert middle(0.1) < middle(0.2) < middle(0.3)


def test_black_squares_stand_for_units_that_are_off():
    dense = mix_picture.draw_mixes({"task": [0.5] * 4})
    sparse = mix_picture.draw_mixes({"task": [1.0, 0.0, 0.0, 0.0]})
    assert dense.dtype == np.uint8 and dense.shape == sparse.shape
    assert _count_near(sparse, 0) > _count_near(dense, 0) + 3000


def test_evaluation_rows_lie_below_a_gap():
    weights = [0.6] * 2 + [0.3] * 2
    one_block = mix_picture.draw_mixes(
        {"a": weights, "b": weights, "c": weights}
    )
    two_blocks = mix_picture.draw_mixes(
        {"a": weights, "b": weights}, {"c": weights}
    )
    assert two_blocks.shape[0] > one_block.shape[0]
    assert two_blocks.shape[1] == one_block.shape[1]


def test_rows_of_different_trunks_are_refused():
    with pytest.raises(ValueError, match="'b': 3"):
        mix_picture.draw_mixes({"a": [0.6, 0.8]}, {"b": [1.0, 0.0, 0.0]})
    with pytest.raises(ValueError, match="--lasso"):
        mix_picture.draw_mixes({})
