"""Computing units again changes no number, and keeps less."""

import each_change
import keras
import numpy as np
import pytest
import tensorflow as tf

from mtssl_tf.models import config as model_config
from mtssl_tf.models import recomputed_trunk
from mtssl_tf.models import trunk as trunk_lib

_CONFIG = model_config.TrunkConfig(
    depth=50, num_units=(1, 2, 3), width=0.125, bn_decay=0.9
)


def _numbers(trunk, apply, image):
    """Units, gradients of all variables, and statistics after the pass."""
    start = trunk.get_weights()

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            units = apply(image)
            loss = tf.add_n(
                [
                    tf.reduce_mean(tf.cast(unit, tf.float32) ** 2)
                    for unit in units.values()
                ]
            )
        return units, tape.gradient(
            loss, [each.value for each in trunk.trainable_variables]
        )

    units, gradients = step()
    statistics = [v.numpy() for v in trunk.non_trainable_variables]
    trunk.set_weights(start)
    return units, gradients, statistics


def _image():
    return tf.random.stateless_uniform([2, 64, 64, 3], [0, 1], -100, 100)


def _assert_alike(got, expected, tolerance):
    """Compares each kind of numbers; single ones may be zero but for noise."""
    for one, other in zip(got, expected, strict=True):
        vectors = [
            np.concatenate(
                [
                    np.ravel(tf.cast(x, tf.float32))
                    for x in tf.nest.flatten(all_)
                ]
            )
            for all_ in (one, other)
        ]
        difference = np.linalg.norm(vectors[0] - vectors[1])
        assert difference < tolerance * np.linalg.norm(vectors[1])


@pytest.mark.parametrize("stride", each_change.only(16, of=[8, 16, 32]))
def test_all_numbers_are_those_of_the_trunk(stride):
    base = trunk_lib.build_trunk(_CONFIG)
    config = model_config.TrunkConfig(
        **{**vars(_CONFIG), "output_stride": stride}
    )
    trunk = trunk_lib.build_trunk(config, share=base)
    names = [layer.name for layer in trunk.layers]
    again = recomputed_trunk.RecomputedTrunk(trunk)
    image = _image()
    expected = _numbers(trunk, lambda x: trunk(x, training=True), image)
    got = _numbers(trunk, again, image)
    _assert_alike(got, expected, 1e-5)
    # It is still what it was for whoever saves it.
    assert [layer.name for layer in trunk.layers] == names
    assert base.get_layer("block3_unit_1") is not None


def test_in_bfloat16_too():
    keras.utils.set_random_seed(0)
    trunk = trunk_lib.build_trunk(_CONFIG, dtype="mixed_bfloat16")
    again = recomputed_trunk.RecomputedTrunk(trunk)
    image = _image()
    expected = _numbers(trunk, lambda x: trunk(x, training=True), image)
    # Gradients: 0.029 on a processor without bfloat16, whose own noise there is
    # 0.46 of float32's; outputs and statistics are equal to the bit.
    _assert_alike(_numbers(trunk, again, image), expected, 0.1)


def test_batch_norm_that_is_frozen_trains_its_scale():
    # As workers of a cluster with --batch_norm=frozen do.
    trunk = trunk_lib.build_trunk(_CONFIG)
    variables = list(trunk.trainable_variables)
    for layer in trunk.layers:
        if type(layer).__name__ == "BatchNormalization":
            layer.trainable = False
    again = recomputed_trunk.RecomputedTrunk(trunk)
    image = _image()
    found = []
    for apply in (lambda x: trunk(x, training=True), again):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(apply(image)["unit_03"] ** 2)
        found.append(tape.gradient(loss, [v.value for v in variables]))
    _assert_alike(found[:1], found[1:], 1e-5)
