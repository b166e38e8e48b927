"""The depth model: shapes, parameters, and gradients to every weight."""

import itertools

import each_change
import keras
import numpy as np
import pytest
import tensorflow as tf
import tiny_families

from evaluation.depth import config as depth_config
from evaluation.depth import model as model_lib
from evaluation.depth import training as training_lib
from mtssl_tf.models import config as model_config
from mtssl_tf.models import families
from mtssl_tf.models import input_contract
from mtssl_tf.models import trunk as trunk_lib

_TINY_TRUNK = model_config.TrunkConfig(
    depth=50, num_units=(1, 1, 2), width=0.125, bn_decay=0.95
)


def _tiny_model(lasso=None):
    keras.utils.set_random_seed(0)
    trunk = trunk_lib.build_trunk(_TINY_TRUNK)
    return model_lib.build_depth_model(trunk, (8, 6, 4), 0.95, 2.5, lasso)


@pytest.mark.parametrize("height, width", [(32, 48), (38, 50), (114, 152)])
def test_depth_has_half_the_size_of_the_picture(height, width):
    depth = _tiny_model()(np.zeros((1, height, width, 3), np.float32))
    assert depth.shape == (1, height // 2, width // 2)


def test_starts_at_the_mean_depth():
    picture = np.random.default_rng(0).normal(0, 60, (1, 64, 64, 3))
    depth = _tiny_model()(picture.astype(np.float32), training=True)
    assert np.abs(np.mean(depth) - 2.5) < 0.2


@pytest.mark.parametrize("lasso", [None, model_config.LassoConfig()])
def test_gradient_reaches_every_weight(lasso):
    model = _tiny_model(lasso)
    pictures = tf.random.stateless_normal((2, 64, 64, 3), (1, 2)) * 60.0
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.square(model(pictures, training=True) - 1.0))
    variables = model.trainable_variables
    gradients = tape.gradient(loss, [v.value for v in variables])
    dead = [
        variable.path
        for variable, gradient in zip(variables, gradients)
        if gradient is None or not np.any(gradient)
    ]
    # A bias that batch norm takes out again has the gradient of rounding.
    assert not [path for path in dead if "bias" not in path]


def test_lasso_reads_every_unit():
    model = _tiny_model(model_config.LassoConfig(proximal=False))
    assert model.get_layer("mix").unit_names == ("unit_01", "unit_02")
    assert len(model.losses) == 1
    assert not _tiny_model().losses


def test_proximal_step_switches_units_off():
    lasso = model_config.LassoConfig(l1=1e3, proximal=True)
    model = _tiny_model(lasso)
    config = depth_config.DepthConfig(warmup_steps=1)
    training = training_lib.build_training(
        model, input_contract.InputContract(), config
    )
    pictures = tf.ones((1, 32, 32, 3), tf.uint8)
    for _ in range(2):
        training_lib.train_step(training, pictures, tf.fill((1, 16, 16), 2.0))
    assert model.get_layer("mix").num_units_off() == 1


@pytest.mark.long
def test_paper_s_size_takes_a_training_step():
    config = depth_config.PRESETS["paper"]
    assert config == depth_config.DepthConfig()
    trunk = trunk_lib.build_trunk(model_config.TrunkConfig())
    model = model_lib.build_depth_model(
        trunk, config.up_filters, config.bn_decay, 2.7
    )
    head_params = model.count_params() - trunk.count_params()
    # 1x1 convolution, then per up-projection both 5x5 kernels and the 3x3
    # one; 4 values a channel for each of the seven batch norms; the output.
    convolutions = 1024 * 1024 + sum(
        25 * before * 2 * after + 9 * after * after
        for before, after in ((1024, 512), (512, 256), (256, 128))
    )
    norms = 4 * (1024 + (2 + 1) * (512 + 256 + 128))
    assert head_params == convolutions + norms + 9 * 128 + 1
    training = training_lib.build_training(
        model, input_contract.InputContract(), config
    )
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (1, *config.picture_size, 3), np.uint8)
    depths = np.full((1, 114, 152), 2.0, np.float32)
    before = trunk.get_layer("conv1").kernel.numpy()
    for _ in range(2):  # the first one's learning rate is 0: warm-up
        loss = training_lib.train_step(
            training, tf.constant(pictures), tf.constant(depths)
        )
    assert np.isfinite(loss) and training.step == 2
    assert np.any(trunk.get_layer("conv1").kernel.numpy() != before)


@pytest.mark.parametrize(
    "name, lasso",
    each_change.only_together(
        ("vgg16", None),
        ("densenet121", model_config.LassoConfig()),
        of=itertools.product(
            families.FAMILIES, [None, model_config.LassoConfig()]
        ),
    ),
)
def test_every_family_of_trunks_predicts_depth(name, lasso):
    trunk = trunk_lib.build_trunk(tiny_families.CONFIGS[name])
    model = model_lib.build_depth_model(trunk, (8, 6, 4), 0.95, 2.5, lasso)
    # Sides that no stride divides.
    assert model(np.zeros((1, 38, 50, 3), np.float32)).shape == (1, 19, 25)
    pictures = tf.random.stateless_normal((2, 64, 64, 3), (1, 2)) * 60.0
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.square(model(pictures, training=True) - 1.0))
    gradients = tape.gradient(
        loss, [v.value for v in trunk.trainable_variables]
    )
    assert all(gradient is not None for gradient in gradients)
    assert np.isfinite([float(tf.norm(each)) for each in gradients]).all()
