"""Tests for odd one out."""

import dataclasses
import math

import numpy as np
import pytest
import tensorflow as tf

from mtssl_tf.tasks import odd_one_out

_CONFIG = dataclasses.replace(
    odd_one_out.OddOneOut.presets["tiny"],
    short_side_px=40,
    crop_px=32,
    color_strength=0.0,
)


def _task(**changes):
    return odd_one_out.OddOneOut(dataclasses.replace(_CONFIG, **changes))


@pytest.mark.parametrize("num_sequences", [2, 4])
def test_only_the_target_is_out_of_order(num_sequences):
    frames = np.full((8, 40, 50, 3), 10, np.uint8)
    frames *= np.arange(1, 9, dtype=np.uint8)[:, None, None, None]
    example = {"frames": tf.constant(frames)}
    task = _task(num_sequences=num_sequences)
    cut = tf.function(task.cut)
    targets, orders, spans = [], set(), ([], [])
    for number in range(300):
        out = cut(example, tf.constant([0, number]))
        shown = out["views"].numpy()[:, 0, 0, 0].astype(int)
        sequences = shown.reshape(num_sequences, 3)
        target = int(out["target"])
        targets.append(target)
        for place, sequence in enumerate(sequences):
            is_sorted = (np.diff(sequence) > 0).all()
            assert is_sorted == (place != target)
            spans[place == target].append(np.ptp(sequence))
        orders.add(tuple(np.argsort(sequences[target])))
    assert len(orders) == 5  # every wrong order, also backwards
    counts = np.bincount(targets, minlength=num_sequences)
    assert counts.min() > 0.7 * 300 / num_sequences
    # How far apart frames are tells nothing.
    assert np.mean(spans[0]) == pytest.approx(np.mean(spans[1]), rel=0.1)


def test_loss_and_accuracy_by_hand():
    logits = tf.constant([[0.0, 0, 0], [0, math.log(4), 0]])
    target = tf.constant([2, 1])
    expected = [math.log(3), math.log(6 / 4)]
    np.testing.assert_allclose(_task().loss(logits, target), expected, 1e-5)
    accuracy = _task().metrics(logits, target)["accuracy"]
    np.testing.assert_array_equal(accuracy, [0, 1])
    assert _task().chance()["accuracy"] == pytest.approx(1 / 3)


def test_one_sequence_has_no_odd_one():
    with pytest.raises(ValueError, match="num_sequences"):
        _task(num_sequences=1)
