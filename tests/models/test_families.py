"""What every family of trunks keeps, whatever its layers are."""

import dataclasses
import itertools
import math
import sys

import each_change
import keras
import numpy as np
import pytest
import slim_reference
import task_cases
import tensorflow as tf
import tiny_families
import trunk_comparison

from mtssl_tf.models import config as model_config
from mtssl_tf.models import families
from mtssl_tf.models import lasso_mix
from mtssl_tf.models import trunk as trunk_lib
from mtssl_tf.slim import checkpoint as slim_checkpoint
from mtssl_tf.training import step

_STRIDES = [
    (name, stride)
    for name, family in families.FAMILIES.items()
    for stride in family.output_strides
]
_each_family = pytest.mark.parametrize("name", families.FAMILIES)


def _config(name, stride=16):
    return dataclasses.replace(
        tiny_families.CONFIGS[name], output_stride=stride
    )


def _randomised(trunk):
    """Gives batch norms statistics and scales unlike fresh ones.

    And kernels that are the same in every run, whatever was seeded before.
    """
    random = np.random.default_rng(0)
    for variable in trunk.weights:
        if variable.name == "kernel":
            stddev = math.sqrt(2 / np.prod(variable.shape[:-1]))
            variable.assign(random.normal(0, stddev, variable.shape))
        elif variable.name in ("moving_variance", "gamma"):
            variable.assign(random.uniform(0.5, 1.5, variable.shape))
        elif variable.name in ("moving_mean", "beta", "bias"):
            variable.assign(random.normal(0, 0.2, variable.shape))
    return trunk


def test_each_has_a_tiny_one_here():
    assert tiny_families.CONFIGS.keys() == families.FAMILIES.keys()


@pytest.mark.parametrize("name, stride", _STRIDES)
def test_units_are_in_depth_order_and_of_the_stride(name, stride):
    config = _config(name, stride)
    trunk = trunk_lib.build_trunk(config)
    units = trunk(np.zeros([1, 50, 65, 3], np.float32))
    names = [f"unit_{n:02d}" for n in range(1, len(units) + 1)]
    assert list(units) == names
    assert len(names) >= 3
    assert units[names[-1]].shape == (
        1,
        math.ceil(50 / stride),
        math.ceil(65 / stride),
        config.unit_channels,
    )
    if stride <= 16:
        assert len({tuple(unit.shape) for unit in units.values()}) == 1
    depths = [
        len(keras.Model(trunk.input, trunk.output[each]).layers)
        for each in names
    ]
    assert depths == sorted(depths)


@_each_family
def test_stride_8_has_stride_16_at_every_second_place(name):
    trunk = _randomised(trunk_lib.build_trunk(_config(name)))
    dense = trunk_lib.build_trunk(_config(name, 8), share=trunk)
    image = slim_reference.random_image(64, 96)
    expected = trunk(image)
    found = {key: unit[:, ::2, ::2] for key, unit in dense(image).items()}
    assert trunk_comparison.worst_error(found, expected) < 1e-5


@pytest.mark.parametrize("name, stride", _STRIDES)
def test_strides_share_all_variables(name, stride):
    trunk = trunk_lib.build_trunk(_config(name))
    other = trunk_lib.build_trunk(_config(name, stride), share=trunk)
    assert [id(v) for v in other.trainable_variables] == [
        id(v) for v in trunk.trainable_variables
    ]
    own = trunk_lib.build_trunk(_config(name, stride))
    assert [tuple(v.shape) for v in own.weights] == [
        tuple(v.shape) for v in trunk.weights
    ]
    own.set_weights(trunk.get_weights())
    image = slim_reference.random_image(65, 48)
    assert trunk_comparison.worst_error(other(image), own(image)) == 0


@_each_family
def test_a_trunk_of_another_shape_is_not_shared(name):
    trunk = trunk_lib.build_trunk(_config(name))
    wide = dataclasses.replace(_config(name), width=0.25)
    with pytest.raises(ValueError, match="of another shape"):
        trunk_lib.build_trunk(wide, share=trunk)


@_each_family
def test_block_4_halves_the_size_or_keeps_it(name):
    config = _config(name)
    features = np.ones([2, 8, 8, config.unit_channels], np.float32)
    dense = trunk_lib.build_block4(config)
    box_head = trunk_lib.build_block4(config, first_stride=2, share=dense)
    assert dense(features).shape[:3] == (2, 8, 8)
    assert box_head(features).shape[:3] == (2, 4, 4)
    assert {id(v) for v in box_head.weights} == {id(v) for v in dense.weights}
    assert np.min(dense(features)) >= 0
    given = trunk_lib.build_block4(config, channels=config.unit_channels)
    assert [v.shape for v in given.weights] == [v.shape for v in dense.weights]


@_each_family
def test_loads_without_our_code(name, tmp_path):
    trunk = _randomised(trunk_lib.build_trunk(_config(name)))
    trunk.save(tmp_path / "trunk.keras")
    loaded = keras.saving.load_model(tmp_path / "trunk.keras")
    modules = {type(layer).__module__ for layer in loaded.layers}
    assert all(each.startswith("keras.src") for each in modules)
    image = slim_reference.random_image(48, 64)
    error = trunk_comparison.worst_error(loaded(image), trunk(image))
    assert error < 1e-5


@_each_family
def test_keeps_the_precision(name):
    trunk = trunk_lib.build_trunk(_config(name), dtype="mixed_bfloat16")
    shared = trunk_lib.build_trunk(_config(name, 8), share=trunk)
    image = slim_reference.random_image(64, 64)
    for each in (trunk, shared):
        assert {x.dtype for x in each(image).values()} == {tf.bfloat16}
        assert {v.dtype for v in each.weights} == {"float32"}


@_each_family
def test_the_last_unit_depends_on_every_weight(name):
    trunk = trunk_lib.build_trunk(_config(name))
    image = tf.random.stateless_normal((2, 64, 64, 3), (1, 2)) * 60.0
    with tf.GradientTape() as tape:
        units = trunk(image, training=True)
        loss = tf.reduce_mean(units[max(units)] ** 2)
    gradients = tape.gradient(
        loss, [v.value for v in trunk.trainable_variables]
    )
    for variable, gradient in zip(trunk.trainable_variables, gradients):
        assert gradient is not None and np.any(gradient), variable.path


# In each change every family and every task once.
@pytest.mark.parametrize(
    "name, task",
    each_change.only_together(
        ("resnet_v2", "exemplar"),
        ("vgg16", "colorization"),
        ("vgg16_bn", "exemplar"),
        ("densenet121", "image_labels"),
        of=itertools.product(
            families.FAMILIES, ["exemplar", "colorization", "image_labels"]
        ),
    ),
)
def test_heads_and_a_mix_train_on_it(name, task):
    config = tiny_families.tiny_config(name, task, use_lasso=True)
    state = task_cases.build_state(config)
    mix = state.model.mix
    assert mix.unit_names == tuple(
        f"unit_{n:02d}" for n in range(1, len(mix.unit_names) + 1)
    )
    batch = task_cases.batch(state.task)

    @tf.function
    def train():
        values, gradients = step.compute_gradients(state, batch, 8)
        step.apply_gradients(state, gradients)
        return step.means(values)["loss"]

    losses = [float(train()) for _ in range(20)]
    assert np.isfinite(losses).all()
    assert np.mean(losses[-5:]) < np.mean(losses[:5])
    np.testing.assert_allclose(
        np.linalg.norm(mix.mixing_weights()), 1, rtol=1e-5
    )


class TestMistakes:
    @pytest.mark.parametrize(
        "settings, said",
        [
            (
                {"family": "alexnet"},
                "'alexnet'. Known: resnet_v2, vgg16, vgg16_bn, dense",
            ),
            ({"family": "vgg16", "depth": 19}, r"\[16\] for vgg16, got 19"),
            ({"family": "densenet121", "depth": 50}, r"\[121\].*got 50"),
            ({"depth": 121}, r"\[50, 101, 152\] for resnet_v2, got 121"),
            (
                {"family": "densenet121", "output_stride": 32},
                r"one of \[8, 16\] for densenet121, got 32",
            ),
            ({"family": "vgg16", "output_stride": 4}, r"vgg16, got 4"),
            (
                {"family": "vgg16", "num_units": (1, 1, 4)},
                r"5 counts.*vgg16.*\(1, 1, 4\)",
            ),
            ({"family": "densenet121", "width": 1 / 64}, "1/32 for densenet"),
        ],
    )
    def test_name_value_and_family(self, settings, said):
        with pytest.raises(ValueError, match=said) as error:
            model_config.TrunkConfig(**settings)
        assert "\n" not in str(error.value)

    @pytest.mark.parametrize("name", ["vgg16", "densenet121"])
    def test_block_4_at_a_stride_that_it_has_not(self, name):
        with pytest.raises(ValueError, match="got output_stride=8"):
            trunk_lib.build_block4(_config(name, 8))

    @pytest.mark.parametrize(
        "build, name",
        [
            (trunk_lib.build_trunk, "densenet121"),
            (trunk_lib.build_block4, "vgg16"),  # not VGG's own
        ],
    )
    def test_tf_slim_has_no_form_of_it(self, build, name, tmp_path):
        model = build(_config(name))
        with pytest.raises(ValueError, match="family=resnet_v2") as error:
            slim_checkpoint.save(model, tmp_path / "x")
        assert "\n" not in str(error.value)
        assert not list(tmp_path.iterdir())

    @pytest.mark.parametrize(
        "code, said",
        [
            ("import sys; sys.exit('usage: x')", "import: SystemExit: usage"),
            ("def build(): pass", "failed: TypeError: .*takes 0"),
            ("def build(shape): return {}['a']", "odd_trunk.py:1: KeyError"),
            ("def build(shape): raise SystemExit(3)", "SystemExit: 3"),
        ],
    )
    def test_ones_own_function_fails_in_its_own_name(
        self, monkeypatch, tmp_path, code, said
    ):
        (tmp_path / "odd_trunk.py").write_text(code)
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.delitem(sys.modules, "odd_trunk", raising=False)
        config = model_config.TrunkConfig(family="odd_trunk:build")
        with pytest.raises(ValueError, match=f"odd_trunk:build.*{said}"):
            trunk_lib.build_trunk(config)

    def test_one_unit_is_none_to_mix(self):
        config = tiny_families.CONFIGS["densenet121"]
        trunk = trunk_lib.build_trunk(
            dataclasses.replace(config, num_units=(1, 1, 1, 1))
        )
        with pytest.raises(ValueError, match="two units of one shape"):
            lasso_mix.LassoMix()(trunk.output)


def test_a_depth_is_the_familys_own_where_none_is_named():
    depths = {
        name: model_config.TrunkConfig(family=name).depth
        for name in families.FAMILIES
    }
    assert depths == {
        "resnet_v2": 101,
        "vgg16": 16,
        "vgg16_bn": 16,
        "densenet121": 121,
    }


def test_the_stride_of_a_preset_is_one_that_the_family_has():
    for name, strides in (
        ("resnet_v2", (8, 16, 32)),
        ("vgg16", (8, 16, 32)),
        ("vgg16_bn", (8, 16, 32)),
        ("densenet121", (8, 16, 16)),
    ):
        config = model_config.TrunkConfig(family=name)
        assert tuple(map(config.stride_up_to, (8, 16, 32))) == strides
