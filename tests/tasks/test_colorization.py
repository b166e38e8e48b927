"""Tests for colorization."""

import dataclasses

import numpy as np
import pytest
import skimage.color
import tensorflow as tf

from mtssl_tf.data import ab_bins
from mtssl_tf.data import ab_encoding
from mtssl_tf.tasks import colorization

_CONFIG = dataclasses.replace(
    colorization.Colorization.presets["tiny"],
    short_side_px=16,
    crop_px=16,
)


def _task(prior=None, colorful_share=1.0, **settings):
    task = colorization.Colorization(dataclasses.replace(_CONFIG, **settings))
    if prior is not None:
        task.use_facts(
            {"prior": prior, "colorful_share": np.array(colorful_share)}
        )
    return task


def _random_case(seed=0):
    random = np.random.default_rng(seed)
    prior = random.dirichlet(np.ones(313))
    target = random.uniform(-60, 60, (3, 2, 2, 2)).astype(np.float32)
    logits = random.normal(size=(3, 2, 2, 313)).astype(np.float32)
    return prior, target, logits


def test_input_is_lightness_and_target_the_mean_colour():
    image = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    task = _task()
    out = task.preprocess({"image": tf.constant(image)}, [0, 0])
    lab = skimage.color.rgb2lab(image)
    views = out["views"].numpy() + np.array(task.contract.means_rgb)
    # The crop is the whole picture; it may be mirrored.
    lab = min(
        (lab, lab[:, ::-1]),
        key=lambda each: np.abs(views[0, ..., 0] - each[..., 0] * 2.55).max(),
    )
    for channel in range(3):
        np.testing.assert_allclose(
            views[0, ..., channel], lab[..., 0] * 2.55, atol=0.1
        )
    mean = lab[..., 1:].reshape(2, 8, 2, 8, 2).mean((1, 3))
    np.testing.assert_allclose(out["target"], mean, atol=0.05)


def test_loss_equals_a_slow_one():
    prior, target, logits = _random_case()
    task = _task(prior)
    soft = ab_encoding.soft_encode(tf.constant(target)).numpy()
    log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    mixed = 0.5 * prior + 0.5 / 313
    weights = 1 / mixed / np.sum(prior / mixed)
    expected = np.zeros(3)
    for b in range(3):
        for y in range(2):
            for x in range(2):
                z = soft[b, y, x]
                weight = weights[z.argmax()]
                expected[b] -= weight * np.sum(z * log_p[b, y, x]) / 4
    loss = task.loss(tf.constant(logits), tf.constant(target))
    np.testing.assert_allclose(loss, expected, rtol=1e-4)


def test_grey_pictures_are_left_out():
    prior, target, logits = _random_case()
    target[1] = 4.9  # no chroma above 5
    loss = _task(prior).loss(tf.constant(logits), tf.constant(target))
    assert loss[1] == 0 and loss[0] > 0
    metrics = _task(prior).metrics(tf.constant(logits), tf.constant(target))
    assert np.isnan(metrics["cross_entropy"][1])


@pytest.fixture(scope="module")
def pictures():
    """Colours that are mostly dull, as those of photographs; some are grey."""
    random = np.random.default_rng(0)
    scale = random.exponential(15, (400, 1, 1, 1))
    return random.normal(10, scale, (400, 2, 2, 2)).astype(np.float32)


def _fitted(pictures, **settings):
    """The task after `fit` on pictures of these colours."""
    task = _task(**settings)
    task.preprocessed = lambda examples: ({"target": each} for each in examples)
    task.use_facts(task.fit(pictures))
    return task


def _constant(guess, pictures):
    logits = np.log(np.maximum(guess, 1e-12)).astype(np.float32)
    return tf.constant(np.broadcast_to(logits, (*pictures.shape[:3], 313)))


@pytest.mark.parametrize("uniform_share", [1.0, 0.5, 0.1])
def test_a_blind_guess_gets_exactly_chance(pictures, uniform_share):
    # A kind of fault: a formula of what the loss is, beside the loss. It took
    # the weight of each bin of a colour, where the loss takes the nearest's.
    task = _fitted(pictures, uniform_share=uniform_share)
    guess = task._weighted_prior / task._weighted_prior.sum()
    target = tf.constant(pictures)
    loss = np.mean(task.loss(_constant(guess, pictures), target))
    assert loss == pytest.approx(task.chance()["loss"], rel=1e-4)
    metric = task.metrics(_constant(guess, pictures), target)["cross_entropy"]
    expected = task.chance()["cross_entropy"]
    assert np.nanmean(metric) == pytest.approx(expected, rel=1e-4)
    # No other constant does better.
    random = np.random.default_rng(1)
    others = [task._prior, task._prior * task._weights, np.ones(313)]
    others += [guess * np.exp(random.normal(0, 0.1, 313)) for _ in range(5)]
    for other in others:
        logits = _constant(other / other.sum(), pictures)
        assert np.mean(task.loss(logits, target)) >= loss - 1e-5


def test_facts_of_before_are_taken(pictures):
    task = _fitted(pictures)
    facts = {"prior": task._prior, "colorful_share": np.array(1.0)}
    task.use_facts(facts)
    np.testing.assert_allclose(
        task._weighted_prior, task._prior * task._weights
    )


def test_fit_measures_the_prior():
    blue = np.zeros((16, 16, 3), np.uint8)
    blue[..., 2] = 255
    grey = np.full((16, 16, 3), 100, np.uint8)
    facts = _task().fit(
        [{"image": tf.constant(image)} for image in (blue, grey)]
    )
    assert facts["colorful_share"] == 0.5
    bins = ab_bins.build_ab_bins()
    # CIE: pure sRGB blue has a 79.2, b -107.9.
    nearest = np.linalg.norm(bins - (79.2, -107.9), axis=1).argmin()
    assert facts["prior"].argmax() == nearest
    assert facts["prior"].sum() == pytest.approx(1)
    by_nearest = facts["prior_by_nearest"]
    np.testing.assert_allclose(by_nearest.sum(0), facts["prior"])
    assert np.flatnonzero(by_nearest.sum(1)).tolist() == [nearest]


def test_only_grey_pictures_are_an_error():
    grey = tf.fill([16, 16, 3], tf.constant(9, tf.uint8))
    with pytest.raises(ValueError, match="All of 2 pictures are grey"):
        _task().fit([{"image": grey}, {"image": grey}])


def test_stride_and_crop_are_checked():
    with pytest.raises(ValueError, match="output_stride=16"):
        dataclasses.replace(_CONFIG, output_stride=16)
    with pytest.raises(ValueError, match="crop_px=20"):
        dataclasses.replace(_CONFIG, crop_px=20, short_side_px=32)
