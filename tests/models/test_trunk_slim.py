"""The trunk against TF-Slim's own, built beside it."""

import math

import each_change
import keras
import numpy as np
import pytest
import slim_reference
import tensorflow as tf
import trunk_comparison

from mtssl_tf.models import config as model_config
from mtssl_tf.models import trunk as trunk_lib


@pytest.fixture(scope="module", params=each_change.only(50, of=[50, 101]))
def depth(request):
    """The paper's has more units of the same."""
    return request.param


@pytest.fixture(scope="module")
def trunks(depth):
    return trunk_comparison.build_trunks(depth)


@pytest.fixture(scope="module")
def slim(depth):
    return slim_reference.slim_resnet(depth)


@pytest.fixture(scope="module")
def small_slim():
    return slim_reference.SlimReference("small", (1, 1, 2, 3))


@pytest.mark.parametrize("stride", each_change.only(8, of=[8, 16, 32]))
@pytest.mark.parametrize(
    "size",
    each_change.only(
        (97, 131), of=[(97, 131), (224, 224), (225, 225), (321, 321)]
    ),
)
def test_inference(slim, trunks, depth, size, stride):
    slim.set_weights(slim_reference.random_weights(slim.shapes()))
    trunk_comparison.set_random_weights(trunks[32])
    image = slim_reference.random_image(*size)
    expected = slim.units(image, stride)
    assert len(expected) == slim_reference.UNITS[depth][2]
    assert trunk_comparison.worst_error(trunks[stride](image), expected) < 1e-5


@pytest.mark.parametrize("is_fused", each_change.only(True, of=[True, False]))
def test_training_mode(slim, trunks, is_fused):
    """Fused batch norm averages N / (N - 1) times the variance."""
    weights = slim_reference.random_weights(slim.shapes())
    slim.set_weights(weights)
    variables = trunk_comparison.set_random_weights(trunks[32])
    image = slim_reference.random_image(129, 129, batch=2)
    expected = slim.train_forward(image, 16, is_fused)
    units = trunks[16](image, training=True)
    assert trunk_comparison.worst_error(units, expected) < (
        1e-5 if is_fused else 1e-4
    )

    counts = _count_averaged(trunks[16], image.shape)
    decay = slim_reference.BN_DECAY
    after = slim.get_weights()
    for name, variable in variables.items():
        if "/moving_" not in name:
            continue
        wanted = after[name]
        if is_fused and name.endswith("moving_variance"):
            n = counts[_layer_name(name)]
            old = decay * weights[name]
            wanted = old + (wanted - old) * (n - 1) / n
        assert trunk_comparison.relative_error(variable, wanted) < 1e-4, name


def test_gradients(slim, trunks):
    """With batch norm in one operation, which is TF-Slim's default."""
    slim.set_weights(slim_reference.random_weights(slim.shapes()))
    variables = trunk_comparison.set_random_weights(trunks[32])
    image = slim_reference.random_image(97, 131, batch=2)
    expected = slim.gradients(image, 16, is_fused=True)
    with tf.GradientTape() as tape:
        units = trunks[16](image, training=True)
        loss = slim_reference.fixed_loss(units)
    values = [variables[name].value for name in expected]
    gradients = dict(zip(expected, tape.gradient(loss, values), strict=True))
    assert len(gradients) == len(trunks[16].trainable_variables)
    assert _worst_gradient_error(gradients, expected) < 1e-4


@pytest.mark.long
def test_slims_forms_of_batch_norm_differ_in_gradients(slim):
    """In float32 they are not determined to the 1e-4 of `test_gradients`.

    So gradients are compared with the form that the trunk computes in.
    """
    slim.set_weights(slim_reference.random_weights(slim.shapes()))
    image = slim_reference.random_image(97, 131, batch=2)
    plain = slim.gradients(image, 16, is_fused=False)
    fused = slim.gradients(image, 16, is_fused=True)
    assert _worst_gradient_error(fused, plain) > 1e-2


def _worst_gradient_error(actual, expected):
    """Returns the largest error relative to a variable's gradient."""
    largest = max(np.abs(gradient).max() for gradient in expected.values())
    worst = 0.0
    for name, gradient in expected.items():
        if np.abs(gradient).max() < 1e-6 * largest:
            # The next batch norm takes this bias away again: its gradient is
            # zero but for rounding.
            assert np.abs(actual[name]).max() < 1e-6 * largest, name
        else:
            worst = max(
                worst, trunk_comparison.relative_error(actual[name], gradient)
            )
    return worst


@pytest.mark.parametrize("stride", each_change.only(16, of=[8, 16, 32]))
def test_block4(small_slim, stride):
    config = model_config.TrunkConfig(num_units=(1, 1, 2), output_stride=stride)
    trunk = trunk_lib.build_trunk(config)
    block4 = trunk_lib.build_block4(config)
    trunk_comparison.set_random_weights(trunk, block4)
    image = slim_reference.random_image(97, 131)
    features = block4(trunk(image)["unit_02"])
    expected = small_slim.last(image, stride)
    assert trunk_comparison.relative_error(features, expected) < 1e-5


def test_box_head():
    config = model_config.TrunkConfig(output_stride=16)
    block4 = trunk_lib.build_block4(config, first_stride=2)
    trunk_comparison.set_random_weights(block4)
    random = np.random.default_rng(0)
    features = random.normal(size=[2, 14, 14, 1024]).astype(np.float32)
    expected = slim_reference.box_head(features)
    assert expected.shape == (2, 7, 7, 2048)
    assert trunk_comparison.relative_error(block4(features), expected) < 1e-5


def _count_averaged(trunk, shape):
    """Returns {name: B * h * w} of each batch norm on a batch of pictures."""
    outputs = {
        layer.name.removesuffix("_relu"): layer.output
        for layer in trunk.layers
        if layer.name.endswith("_relu")
    }
    shapes = keras.Model(trunk.input, outputs).compute_output_shape(shape)
    return {name: math.prod(s[:3]) for name, s in shapes.items()}


def _layer_name(variable_name):
    slim_layer = variable_name.rsplit("/", 1)[0]
    return slim_layer.replace("/bottleneck_v2", "").replace("/", "_")
