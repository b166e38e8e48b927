"""Tests for jigsaw."""

import dataclasses
import itertools
import math

import numpy as np
import pytest
import tensorflow as tf

from mtssl_tf.data import order
from mtssl_tf.tasks import jigsaw

_CONFIG = dataclasses.replace(
    jigsaw.Jigsaw.presets["tiny"], short_side_px=120, cell_px=38, tile_px=32
)


def _task(**changes):
    return jigsaw.Jigsaw(dataclasses.replace(_CONFIG, **changes))


def _seed(position):
    return order.example_seed(tf.constant(position, tf.int64), 0)


def _ramp(height, width):
    y, x = np.mgrid[:height, :width]
    return tf.constant(np.stack([y, x, y], -1).astype(np.uint8))


def test_orders_are_permutations_far_from_each_other():
    orders = jigsaw.distant_orders(64)
    assert orders.shape == (64, 9)
    np.testing.assert_array_equal(orders[0], np.arange(9))
    np.testing.assert_array_equal(
        np.sort(orders, 1), np.tile(range(9), (64, 1))
    )
    distances = [
        np.sum(first != second)
        for first, second in itertools.combinations(orders, 2)
    ]
    # Of 64 drawn at random some pair has 4 or 5 tiles in place.
    assert min(distances) >= 7 and np.mean(distances) > 8
    # Where one tile lies says nearly nothing of the order.
    for place in range(9):
        counts = np.bincount(orders[:, place], minlength=9)
        assert counts.min() >= 4 and counts.max() <= 11


def test_orders_are_always_the_same():
    few = jigsaw.distant_orders(5)
    jigsaw.distant_orders.cache_clear()
    np.testing.assert_array_equal(jigsaw.distant_orders(5), few)
    # The first two differ everywhere, as nine things can.
    assert np.sum(few[0] != few[1]) == 9


def test_orders_are_chosen_as_a_loop_would(monkeypatch):
    # Four things in place of nine, by the rule as it is written.
    monkeypatch.setattr(jigsaw, "NUM_TILES", 4)
    jigsaw.distant_orders.cache_clear()
    found = jigsaw.distant_orders(6)
    jigsaw.distant_orders.cache_clear()
    known = sorted(itertools.permutations(range(4)))
    assert {tuple(each) for each in found.tolist()} <= set(known)
    chosen = [(0, 1, 2, 3)]
    for each in found[1:].tolist():

        def rank(candidate):
            distances = [
                sum(a != b for a, b in zip(candidate, one)) for one in chosen
            ]
            return min(distances), sum(distances)

        assert rank(each) == max(rank(candidate) for candidate in known)
        chosen.append(tuple(each))


def test_tiles_come_in_the_order_that_the_target_names():
    task = _task()
    targets = set()
    for position in range(150):
        out = task.cut({"image": _ramp(120, 150)}, _seed(position))
        tiles = out["views"].numpy().astype(int)
        assert tiles.shape == (9, 32, 32, 3)
        corners = tiles[:, 0, 0, :2]
        cells = task.orders[int(out["target"])]
        at_cells = np.empty_like(corners)
        at_cells[cells] = corners
        grid = at_cells.reshape(3, 3, 2)
        # Each tile lies in its cell, with the cells 38 pixels apart.
        first = grid - 38 * np.stack(np.mgrid[:3, :3], -1)
        assert np.ptp(first, axis=(0, 1)).max() <= 6
        targets.add(int(out["target"]))
    assert len(targets) > 50


def test_tiles_lie_anywhere_in_their_cells():
    # So no edge goes on from one to the next.
    task = _task()
    gaps = []
    for position in range(60):
        out = task.cut({"image": _ramp(120, 150)}, _seed(position))
        corners = out["views"].numpy().astype(int)[:, 0, 0, :2]
        at_cells = np.empty_like(corners)
        at_cells[task.orders[int(out["target"])]] = corners
        grid = at_cells.reshape(3, 3, 2)
        gaps += list(np.diff(grid[..., 0], axis=0).ravel() - 32)
        gaps += list(np.diff(grid[..., 1], axis=1).ravel() - 32)
    assert set(gaps) == set(range(13))


def test_tiles_of_a_larger_picture_are_cut_at_its_own_scale():
    y, x = np.mgrid[:240, :300] // 2
    image = tf.constant(np.stack([y, x, y], -1).astype(np.uint8))
    for position in range(10):
        views = _task().cut({"image": image}, _seed(position))["views"]
        tiles = views.numpy().astype(int)
        for axis in range(2):
            assert np.unique(np.diff(tiles[..., axis], axis=1 + axis)) == [1]


def test_brightness_and_contrast_tell_no_neighbour():
    random = np.random.default_rng(0)
    tiles = random.normal(size=(2, 9, 16, 16, 3))
    tiles = tiles * random.uniform(8, 30, (2, 9, 1, 1, 3))
    tiles = np.clip(tiles + random.uniform(100, 150, (2, 9, 1, 1, 3)), 0, 255)
    out = jigsaw.standardized(tf.constant(tiles, tf.float32)).numpy()
    np.testing.assert_allclose(out.mean(axis=(2, 3)), 127.5, atol=0.3)
    np.testing.assert_allclose(out.std(axis=(2, 3)), 42, atol=0.8)
    assert out.min() >= 0 and out.max() <= 255


def test_the_noise_of_a_flat_tile_is_not_blown_up():
    random = np.random.default_rng(0)
    tile = 200 + random.normal(0, 0.3, (1, 1, 16, 16, 3))
    out = jigsaw.standardized(tf.constant(tile, tf.float32)).numpy()
    assert out.mean() == pytest.approx(127.5, abs=0.1)
    assert out.std() == pytest.approx(0.3 * 42 / 4, rel=0.1)


def test_chromatic_aberration_is_gone():
    # One channel is left of each tile; in the others there is noise alone.
    random = np.random.default_rng(0)
    image = random.integers(0, 256, (120, 150, 3), np.uint8)
    views = _task().preprocess({"image": tf.constant(image)}, _seed(0))["views"]
    rgb = views.numpy() + np.array(_task().contract.means_rgb)
    deviations = np.sort(rgb.std(axis=(1, 2)), axis=-1)
    assert deviations[:, 1].max() < 0.02 * deviations[:, 2].min()
    assert len(np.unique(rgb.std(axis=(1, 2)).argmax(-1))) > 1
    grey = _task(grey_input=True)
    views = grey.preprocess({"image": tf.constant(image)}, _seed(0))["views"]
    rgb = views.numpy() + np.array(grey.contract.means_rgb)
    np.testing.assert_allclose(rgb[..., 0], rgb[..., 2], atol=1e-3)


def test_loss_and_accuracy_by_hand():
    task = _task(num_orders=4)
    logits = tf.constant([[0.0] * 4, [0, math.log(5), 0, 0]])
    target = tf.constant([3, 1])
    np.testing.assert_allclose(
        task.loss(logits, target), [math.log(4), math.log(8 / 5)], rtol=1e-5
    )
    accuracy = task.metrics(logits, target)["accuracy"]
    np.testing.assert_array_equal(accuracy, [0, 1])
    assert task.chance() == {"loss": math.log(4), "accuracy": 0.25}


def test_a_right_guess_is_drawn_as_the_truth():
    task = _task()
    random = np.random.default_rng(0)
    image = random.integers(0, 256, (120, 150, 3), np.uint8)
    made = task.preprocess({"image": tf.constant(image)}, _seed(4))
    logits = np.zeros((1, 64), np.float32)
    logits[0, int(made["target"])] = 1
    picture = task.draw(
        made["views"].numpy()[None], made["target"].numpy()[None], logits
    )
    width = 96 + 4
    shuffled, truth, guess = (
        picture[:96, n * width : n * width + 96] for n in range(3)
    )
    np.testing.assert_array_equal(truth, guess)
    assert (truth != shuffled).any()


def test_cells_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="cell_px=41"):
        _task(cell_px=41)
    with pytest.raises(ValueError, match="tile_px=38 leaves no gap"):
        _task(tile_px=38)
