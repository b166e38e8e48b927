"""Tests for inpainting."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from mtssl_tf.tasks import inpainting

_CONFIG = dataclasses.replace(
    inpainting.Inpainting.presets["tiny"],
    short_side_px=40,
    crop_px=32,
    hidden_px=16,
)


def _task(**changes):
    return inpainting.Inpainting(dataclasses.replace(_CONFIG, **changes))


def _batch(views):
    seeds = tf.constant([[0, number] for number in range(len(views))])
    return {
        "views": tf.constant(views),
        "target": tf.zeros([len(views)], tf.int32),
        "seed": seeds,
    }


def _noise(number):
    random = np.random.default_rng(0)
    return random.integers(0, 256, (number, 1, 32, 32, 3), np.uint8)


def test_nothing_of_what_is_hidden_is_in_the_view():
    views = _noise(20)
    task = _task()
    made = task.color(_batch(views))
    hidden = made["target"].numpy()[..., 3]
    hides = np.kron(hidden, np.ones((1, 8, 8))).astype(bool)[:, None]
    # Other pixels under it, and the view is the same.
    others = np.where(hides[..., None], 255 - views, views)
    again = task.color(_batch(others))
    np.testing.assert_array_equal(made["views"], again["views"])
    # It has the mean colour, which the trunk sees as 0.
    np.testing.assert_array_equal(made["views"].numpy()[hides], 0)
    shown = task.to_displayed(made["views"].numpy())
    np.testing.assert_array_equal(shown[~hides], views[~hides])


def test_the_hidden_square_lies_anywhere():
    hidden = _task().color(_batch(_noise(200)))["target"].numpy()[..., 3]
    assert hidden.shape == (200, 4, 4)
    corners = set()
    for each in hidden:
        rows, columns = np.nonzero(each)
        assert each.sum() == 4
        assert np.ptp(rows) == 1 and np.ptp(columns) == 1
        corners.add((rows.min(), columns.min()))
    assert len(corners) == 9


def test_the_target_is_the_mean_colour_of_each_place():
    views = _noise(3)
    target = _task().color(_batch(views))["target"].numpy()
    places = views[:, 0].reshape(3, 4, 8, 4, 8, 3).mean(axis=(2, 4))
    np.testing.assert_allclose(target[..., :3], places, rtol=1e-4)


def test_grey_input_has_grey_targets():
    made = _task(grey_input=True).color(_batch(_noise(2)))
    target = made["target"].numpy()
    np.testing.assert_allclose(target[..., 0], target[..., 2], rtol=1e-4)
    rgb = made["views"].numpy() + np.array(_task().contract.means_rgb)
    is_seen = np.kron(1 - target[..., 3], np.ones((1, 8, 8))) > 0
    seen = rgb[:, 0][is_seen]
    np.testing.assert_allclose(seen[..., 0], seen[..., 2], atol=1e-3)
    hidden = rgb[:, 0][~is_seen]
    np.testing.assert_allclose(hidden[..., 0], hidden[..., 2], atol=1e-3)


def test_loss_and_errors_by_hand():
    task = _task()
    task.use_facts(
        {
            "mean": np.array([100.0, 100, 100]),
            "deviation": np.array(50.0),
            "spread": np.array(40.0),
        }
    )
    target = np.zeros((1, 2, 2, 4), np.float32)
    target[0, 0, 0] = [150, 100, 50, 1]  # hidden: 1, 0 and -1 deviations
    target[0, 0, 1] = [100, 100, 100, 1]
    target[0, 1] = [[90, 60, 20, 0], [110, 80, 40, 0]]
    prediction = np.full((1, 2, 2, 3), 7.0, np.float32)  # what is seen: no say
    prediction[0, 0, 0] = [1, 1, 1]
    prediction[0, 0, 1] = [0, 0.5, 0]
    loss = task.loss(tf.constant(prediction), tf.constant(target))
    np.testing.assert_allclose(loss, [(0 + 1 + 4 + 0.25) / 6], rtol=1e-5)
    metrics = task.metrics(tf.constant(prediction), tf.constant(target))
    np.testing.assert_allclose(
        metrics["error"], [(0 + 50 + 100 + 25) / 6], rtol=1e-5
    )
    # What is visible is (100, 70, 30) in the mean.
    off = [50, 30, 20, 0, 30, 70]
    np.testing.assert_allclose(
        metrics["error_of_visible"], [np.mean(off)], rtol=1e-5
    )
    assert task.chance() == {"loss": 1.0, "error": 40.0}


def test_the_fitted_mean_is_chance():
    random = np.random.default_rng(0)
    examples = [
        {
            "image": tf.constant(
                np.kron(
                    random.integers(0, 256, (5, 7, 3)), np.ones((8, 8, 1))
                ).astype(np.uint8)
            )
        }
        for _ in range(30)
    ]
    task = _task()
    task.use_facts(task.fit(examples))
    target = np.stack([made["target"] for made in task.preprocessed(examples)])
    blind = np.zeros((30, 4, 4, 3), np.float32)
    loss = task.loss(tf.constant(blind), tf.constant(target))
    assert np.mean(loss) == pytest.approx(1.0, rel=1e-4)
    error = task.metrics(tf.constant(blind), tf.constant(target))["error"]
    assert np.mean(error) == pytest.approx(task.chance()["error"], rel=1e-4)


def test_pictures_of_one_colour_leave_a_finite_loss():
    example = {"image": tf.fill([40, 40, 3], tf.constant(9, tf.uint8))}
    task = _task()
    task.use_facts(task.fit([example, example]))
    target = task.preprocess(example, tf.constant([0, 1]))["target"][None]
    loss = task.loss(tf.zeros([1, 4, 4, 3]), target)
    np.testing.assert_allclose(loss, [0], atol=1e-6)
    # Kind: a blind guess that no longer is one, in data of a special sort.
    assert task.chance()["loss"] == pytest.approx(0, abs=1e-6)


def test_the_true_colours_are_drawn_where_they_are_hidden():
    task = _task()
    made = task.color(_batch(np.full((1, 1, 32, 32, 3), 30, np.uint8)))
    target = made["target"].numpy()
    guess = (target[..., :3] - task._mean) / task._deviation
    picture = task.draw(made["views"].numpy(), target, guess)
    seen, truth, guessed = (
        picture[:96, n * 100 : n * 100 + 96] for n in range(3)
    )
    np.testing.assert_array_equal(truth, 30)
    np.testing.assert_array_equal(guessed, 30)
    assert (seen != 30).any()


def test_sizes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="hidden_px=12"):
        _task(hidden_px=12)
    with pytest.raises(ValueError, match="hidden_px=32"):
        _task(hidden_px=32)
    with pytest.raises(ValueError, match="crop_px=48"):
        _task(crop_px=48)
    with pytest.raises(ValueError, match="output_stride=16"):
        _task(output_stride=16)
