"""Colours of a batch against TensorFlow's functions, a picture at a time."""

import numpy as np
import tensorflow as tf

from mtssl_tf.data import inception_augmentation

_PICTURES = np.random.default_rng(0).random((12, 9, 10, 3)).astype("float32")
# So that brightness and contrast leave values below black and above white
# behind, which the next change has to take as the release does.
_PICTURES[..., :4, :] **= 8


def _change_one(picture, strength, share):
    """The release's way: one picture, op by op."""
    brightness, saturation, hue, contrast, order = share
    steps = [
        lambda x: tf.image.adjust_brightness(
            x, strength * 32 / 255 * (2 * brightness - 1)
        ),
        lambda x: tf.image.adjust_saturation(
            x, 1 + strength * 0.5 * (2 * saturation - 1)
        ),
        lambda x: tf.image.adjust_hue(x, strength * 0.2 * (2 * hue - 1)),
        lambda x: tf.image.adjust_contrast(
            x, 1 + strength * 0.5 * (2 * contrast - 1)
        ),
    ]
    for number in inception_augmentation.ORDERS[int(4 * order)]:
        picture = steps[number](picture)
    return tf.clip_by_value(picture, 0.0, 1.0).numpy()


def test_a_batch_is_changed_as_its_pictures_are_one_by_one():
    shares = np.random.default_rng(1).random((12, 5)).astype("float32")
    shares[:, 4] = np.arange(12) % 4 / 4
    for strength in (1.0, 0.3):
        changed = inception_augmentation.change_colors(
            tf.constant(_PICTURES), strength, tf.constant(shares)
        ).numpy()
        for ours, picture, share in zip(changed, _PICTURES, shares):
            np.testing.assert_allclose(
                ours, _change_one(picture, strength, share), atol=2e-6
            )


def test_colours_change_more_with_strength_and_by_the_seed():
    views = tf.constant(255 * _PICTURES[:, None])
    seeds = tf.constant([[3, number] for number in range(12)])

    def change(strength):
        changed = inception_augmentation.distort_colors(views, strength, seeds)
        assert 0.0 <= changed.numpy().min() <= changed.numpy().max() <= 255.0
        return np.abs(changed - views).mean((1, 2, 3, 4))

    assert change(1.0).mean() > 1.5 * change(0.3).mean() > 0.0
    assert len(set(change(1.0))) == 12
