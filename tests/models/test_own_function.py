"""A trunk by MODULE:FUNCTION: what is taken, and what is refused."""

import dataclasses
import sys

import keras
import numpy as np
import pytest
import slim_reference
import task_cases
import trunk_comparison

from mtssl_tf import config as config_lib
from mtssl_tf import config_checks
from mtssl_tf import pretrained
from mtssl_tf.models import config as model_config
from mtssl_tf.models import input_contract
from mtssl_tf.models import trunk as trunk_lib
from mtssl_tf.training import step

# Its units are of two sizes: only "late" is behind the last stride.
_MODULE = '''
"""Trunks of plain Keras."""

import keras


def build(config):
    channels = int(64 * config.width)
    image = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(channels, 3, 8, "same", activation="relu")(image)
    stride = config.output_stride // 8
    units = {}
    for name in ("early", "late"):
        x = keras.layers.Conv2D(
            channels, 3, stride, "same", activation="tanh", name=name
        )(x)
        x = keras.layers.BatchNormalization(name=f"{name}_norm")(x)
        units[name] = x
        stride = 1
    return keras.Model(image, units)


def sequential(config):
    return keras.Sequential([keras.layers.Conv2D(4, 3, 16)])


def of_a_tensor(config):
    image = keras.Input((None, None, 3))
    return keras.Model(image, keras.layers.Conv2D(4, 3, 16)(image))


def of_one_size(config):
    image = keras.Input((64, 64, 3))
    return keras.Model(image, {"a": keras.layers.Conv2D(4, 3, 16)(image)})


def pooled(config):
    image = keras.Input((None, None, 3))
    x = keras.layers.GlobalAveragePooling2D()(image)
    return keras.Model(image, {"a": x})


def always_32(config):
    image = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(4, 3, 32, "same")(image)
    return keras.Model(image, {"a": x})


def unsorted(config):
    image = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(4, 3, config.output_stride, "same")(image)
    y = keras.layers.Conv2D(4, 3, 1, "same")(x)
    return keras.Model(image, {"conv2": x, "conv10": y})


def of_16_only(config):
    if config.output_stride != 16:
        raise ValueError(f"has output_stride 16, got {config.output_stride}.")
    return build(config)


def of_wider_strides(config):
    image = keras.Input((None, None, 3))
    stride = config.output_stride
    return keras.Model(
        image,
        {"a": keras.layers.Conv2D(stride, 3, stride, "same", name="x")(image)},
    )


def _of(unit_of_image):
    image = keras.Input((None, None, 3))
    return keras.Model(image, unit_of_image(image))


def a_mistake_of_keras(config):
    return keras.layers.Dense(3)(keras.layers.Conv2D(4, 3)(3))


def an_empty_error(config):
    raise ValueError()


def of_several_lines(config):
    raise RuntimeError("one\\ntwo")


def no_arguments():
    pass


def nested(config):
    x = keras.layers.Conv2D(4, 3, 16, "same")
    return _of(lambda image: {"a": {"b": x(image)}})


def of_numbers(config):
    x = keras.layers.Conv2D(4, 3, 16, "same")
    y = keras.layers.Conv2D(4, 3, 1, "same")
    return _of(lambda image: {"a": x(image), 1: y(x(image))})


def without_weights(config):
    return _of(lambda image: {"a": keras.layers.AveragePooling2D(16)(image)})


def frozen(config):
    model = build(config)
    model.trainable = False
    return model


def with_lambda(config):
    x = keras.layers.Conv2D(4, 3, 16, "same")
    halve = keras.layers.Lambda(lambda value: value / 2)
    return _of(lambda image: {"a": x(halve(image))})


def of_another_activation(config):
    x = keras.layers.Conv2D(
        4,
        3,
        config.output_stride,
        "same",
        activation="relu" if config.output_stride == 16 else "tanh",
    )
    return _of(lambda image: {"a": x(image)})


not_callable = 3
'''


@pytest.fixture(autouse=True)
def module(tmp_path, monkeypatch):
    (tmp_path / "plain_trunks.py").write_text(_MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("plain_trunks", None)


def _config(function="build", stride=16, **settings):
    return model_config.TrunkConfig(
        family=f"plain_trunks:{function}",
        output_stride=stride,
        width=1 / 8,
        **settings,
    )


def test_outputs_are_units_in_depth_order():
    trunk = trunk_lib.build_trunk(_config())
    assert trunk.name == "trunk"
    assert sorted(trunk.output) == ["unit_01", "unit_02"]
    units = trunk(np.zeros([2, 65, 48, 3], np.float32))
    assert units["unit_02"].shape == (2, 5, 3, 8)
    late = keras.Model(trunk.input, trunk.get_layer("late_norm").output)
    image = slim_reference.random_image(65, 48)
    np.testing.assert_array_equal(trunk(image)["unit_02"], late(image))


def test_strides_share_all_variables():
    trunk = trunk_lib.build_trunk(_config())
    dense = trunk_lib.build_trunk(_config(stride=8), share=trunk)
    assert [id(v) for v in dense.weights] == [id(v) for v in trunk.weights]
    own = trunk_lib.build_trunk(_config(stride=8))
    own.set_weights(trunk.get_weights())
    image = slim_reference.random_image(64, 48)
    # With activations, which Keras's convolutions have inside.
    assert trunk_comparison.worst_error(dense(image), own(image)) < 1e-6
    again = trunk_lib.build_trunk(_config(), share=dense)
    assert trunk_comparison.worst_error(again(image), trunk(image)) < 1e-6


def test_layers_that_name_no_precision_have_the_runs():
    before = keras.config.dtype_policy()
    trunk = trunk_lib.build_trunk(_config(), dtype="mixed_bfloat16")
    assert {unit.dtype for unit in trunk.output.values()} == {"bfloat16"}
    assert {v.dtype for v in trunk.weights} == {"float32"}
    assert keras.config.dtype_policy() is before


@pytest.mark.parametrize("task", ["exemplar", "colorization", "image_labels"])
def test_tasks_train_on_it(task):
    config = config_lib.override(
        config_lib.preset_config("tiny", [task]),
        "trunk.family=plain_trunks:build",
        f"{task}.batch_size=4",
        "train.use_lasso=true",
    )
    config_checks.check(config)
    state = task_cases.build_state(config)
    values, gradients = step.compute_gradients(
        state, task_cases.batch(state.task), 4
    )
    assert bool(step.are_finite(values, gradients))
    assert all(gradient is not None for gradient in gradients)
    assert state.model.mix.unit_names == ("unit_01", "unit_02")


@pytest.mark.parametrize(
    "function, said",
    [
        ("sequential", "functional Keras model.*got Sequential"),
        ("of_a_tensor", "its output is of type KerasTensor"),
        ("of_one_size", r"its inputs are \[\(None, 64, 64, 3\)\]"),
        ("pooled", r"its outputs are \{'a': \(None, 3\)\}"),
        ("always_32", "output_stride=16, 8 places of 128.*has 4"),
        ("unsorted", "'conv10': 3, 'conv2': 2.*unit_01"),
        ("nothing", "plain_trunks has no function 'nothing'"),
        ("not_callable", "has no function 'not_callable'.*takes a TrunkConfig"),
        (
            "a_mistake_of_keras",
            r"stride=16, failed in .*trunks.py:\d+: ",
        ),
        ("an_empty_error", r"failed in .*trunks.py:\d+: ValueError.$"),
        ("of_several_lines", "RuntimeError: one two"),
        ("no_arguments", "called with a TrunkConfig .*TypeError: .*takes 0"),
        ("nested", "output 'a' is of type dict"),
        ("of_numbers", "output 1 is of type KerasTensor, and names are text"),
        ("without_weights", "has nothing to train"),
        ("frozen", "has nothing to train.*train.freeze_trunk"),
        ("with_lambda", "not loaded again: .*Lambda.*keras.ops in place"),
    ],
)
def test_what_cannot_be_a_trunk_is_one_line(function, said):
    # Kind: what another's code does wrong is said in its own words alone, or
    # only when the trained trunk is to be saved.
    with pytest.raises(ValueError, match=said) as error:
        trunk_lib.build_trunk(_config(function))
    assert "\n" not in str(error.value)
    assert f"plain_trunks:{function}" in str(error.value)


def test_a_stride_that_the_function_refuses():
    trunk_lib.build_trunk(_config("of_16_only"))
    with pytest.raises(ValueError, match="has output_stride 16, got 8"):
        trunk_lib.build_trunk(_config("of_16_only", 8))


def test_strides_whose_layers_differ_in_more():
    trunk = trunk_lib.build_trunk(_config("of_wider_strides"))
    with pytest.raises(ValueError, match="'x' has other settings.*filters"):
        trunk_lib.build_trunk(_config("of_wider_strides", 8), share=trunk)
    # Kind: a way to the same trunk that leaves out the other's checks.
    config = _config("of_another_activation")
    contract = input_contract.InputContract()
    loaded = pretrained.Pretrained(
        trunk_lib.build_trunk(config), None, contract, config
    )
    with pytest.raises(ValueError, match="other settings.*activation"):
        pretrained.at_stride(loaded, 8)


def test_what_does_not_import_is_said_before_any_work():
    run = config_lib.preset_config("tiny", ["exemplar"])
    for family, said in (
        ("no_such_module_at_all:build", "does not import: .*on PYTHONPATH"),
        ("plain_trunks:nothing", "no function 'nothing'"),
    ):
        config = config_lib.override(run, f"trunk.family={family}")
        with pytest.raises(ValueError, match=said):
            config_checks.check(config)


@pytest.mark.parametrize("name", [":build", "module:", "a b:c", "../x:y"])
def test_a_name_that_is_none(name):
    with pytest.raises(ValueError, match="MODULE:FUNCTION"):
        model_config.TrunkConfig(family=name)


def test_settings_do_not_import_it():
    config = _config("build", num_units=(7,))
    assert config.depth is None
    assert config.units_per_block == (7,)
    assert config.unit_channels is None
    assert "plain_trunks" not in sys.modules
    assert dataclasses.replace(config, output_stride=8).family == config.family
