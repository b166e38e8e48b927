"""Training views: moved, recoloured, and the same for the same seed."""

import numpy as np
import tensorflow as tf

from mtssl_tf.data import inception_augmentation

_IMAGE = np.random.default_rng(0).integers(0, 256, (50, 70, 3), "uint8")


def _view(number, strength):
    return inception_augmentation.training_view(
        tf.constant(_IMAGE), 50, 40, strength, tf.constant([7, number])
    ).numpy()


def test_without_colours_a_view_is_a_crop_of_the_picture():
    corners = set()
    for number in range(8):
        view = _view(number, 0.0)
        found = [
            (top, left)
            for top in range(11)
            for left in range(31)
            if (_IMAGE[top : top + 40, left : left + 40] == view).all()
        ]
        assert len(found) == 1
        corners.update(found)
    assert len(corners) > 4


def test_the_seed_decides():
    np.testing.assert_array_equal(_view(1, 1.0), _view(1, 1.0))
    assert (_view(1, 1.0) != _view(2, 1.0)).any()


def test_colours_stay_in_range_and_change_more_with_strength():
    image = tf.constant(_IMAGE / 255.0, tf.float32)

    def change(strength):
        differences = []
        for number in range(12):
            changed = inception_augmentation.distort_color(
                image, strength, tf.constant([3, number])
            )
            assert 0.0 <= changed.numpy().min() <= changed.numpy().max() <= 1.0
            differences.append(np.abs(changed - image).mean())
        return np.mean(differences)

    assert change(1.0) > 1.5 * change(0.3) > 0.0
