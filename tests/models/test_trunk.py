"""The trunk by itself, and against a golden file that TF-Slim made."""

import dataclasses
import math
import pathlib
import subprocess
import sys

from golden import make_trunk_golden as golden
import keras
import numpy as np
import pytest
import slim_reference
import tensorflow as tf
import trunk_comparison

from mtssl_tf.models import config as model_config
from mtssl_tf.models import trunk as trunk_lib

TINY = model_config.TrunkConfig(
    depth=50, num_units=(1, 1, 4), width=0.25, bn_decay=0.95
)


@pytest.fixture(scope="module")
def expected():
    folder = pathlib.Path(golden.__file__).parent
    return dict(np.load(folder / "trunk_golden.npz"))


@pytest.fixture(scope="module")
def trunks():
    return trunk_comparison.build_trunks(golden.DEPTH)


class TestConfig:
    @pytest.mark.parametrize(
        "setting, value",
        [
            ("depth", 34),
            ("num_units", (1, 1)),
            ("num_units", (1, 0, 4)),
            ("width", 0.0),
            ("width", 0.3),
            ("width", float("nan")),
            ("output_stride", 4),
            ("bn_decay", 1.0),
            ("bn_epsilon", 0.0),
        ],
    )
    def test_names_a_bad_value(self, setting, value):
        with pytest.raises(ValueError) as error:
            model_config.TrunkConfig(**{setting: value})
        assert setting in str(error.value)
        assert str(value) in str(error.value)

    def test_takes_units_from_depth(self):
        assert model_config.TrunkConfig(depth=152).units_per_block == (3, 8, 36)
        assert model_config.TrunkConfig(
            num_units=[2, 1, 3]
        ).units_per_block == (2, 1, 3)

    def test_needs_no_tensorflow(self):
        code = (
            "import sys; from mtssl_tf.models.config import TrunkConfig; "
            "TrunkConfig(); sys.exit('tensorflow.python' in sys.modules)"
        )
        subprocess.run([sys.executable, "-c", code], check=True)


class TestShape:
    @pytest.mark.parametrize(
        "build, num_convolutions, num_trainable, num_parameters",
        [
            (trunk_lib.build_trunk, 94, 27_558_016, 27_635_200),
            (trunk_lib.build_block4, 10, 14_970_880, 14_991_360),
        ],
    )
    def test_size(self, build, num_convolutions, num_trainable, num_parameters):
        # docs/trunk.md explains what of this differs from the paper.
        model = build(model_config.TrunkConfig())
        trainable = sum(math.prod(v.shape) for v in model.trainable_variables)
        assert trainable == num_trainable
        assert model.count_params() == num_parameters
        kernels = [v for v in model.weights if v.name == "kernel"]
        assert len(kernels) == num_convolutions

    @pytest.mark.parametrize("stride, size", [(32, 4), (16, 4), (8, 8)])
    def test_units_in_depth_order(self, stride, size):
        config = dataclasses.replace(TINY, output_stride=stride)
        units = trunk_lib.build_trunk(config)(np.zeros([1, 64, 64, 3]))
        assert list(units) == ["unit_01", "unit_02", "unit_03", "unit_04"]
        assert units["unit_03"].shape == (1, size, size, 256)
        last = size // 2 if stride == 32 else size
        assert units["unit_04"].shape == (1, last, last, 256)

    def test_initial_weights_are_tf_slims(self):
        kernel = (
            trunk_lib.build_trunk(TINY).get_layer("block3_unit_2_conv2").kernel
        )
        stddev = math.sqrt(1.3 * 2 / (9 * 64))
        values = kernel.numpy()
        assert np.abs(values).max() <= 2 * stddev
        # 1.3 turns a truncated normal's variance of 0.774 to 1.
        assert values.std() == pytest.approx(math.sqrt(2 / (9 * 64)), rel=0.02)

    def test_loads_without_our_code(self, tmp_path):
        keras.utils.set_random_seed(0)
        trunk = trunk_lib.build_trunk(TINY)
        trunk.save(tmp_path / "trunk.keras")
        loaded = keras.saving.load_model(tmp_path / "trunk.keras")
        modules = {type(layer).__module__ for layer in loaded.layers}
        assert all(name.startswith("keras.src") for name in modules)
        image = slim_reference.random_image(48, 64)
        # Keras's own batch norm has more operations, and rounds otherwise.
        error = trunk_comparison.worst_error(loaded(image), trunk(image))
        assert error < 1e-5


class TestSharing:
    def test_has_the_same_variables(self):
        trunk = trunk_lib.build_trunk(TINY)
        for stride in (8, 16, 32):
            config = dataclasses.replace(TINY, output_stride=stride)
            other = trunk_lib.build_trunk(config, share=trunk)
            assert [id(v) for v in other.trainable_variables] == [
                id(v) for v in trunk.trainable_variables
            ]
            assert len(other.weights) == len(trunk.weights)

    @pytest.mark.parametrize("stride", [8, 32])
    def test_computes_as_a_trunk_of_its_own(self, stride):
        trunk = trunk_lib.build_trunk(TINY)
        trunk_comparison.set_random_weights(trunk)
        config = dataclasses.replace(TINY, output_stride=stride)
        shared = trunk_lib.build_trunk(config, share=trunk)
        own = trunk_lib.build_trunk(config)
        trunk_comparison.set_random_weights(own)
        image = slim_reference.random_image(65, 48)
        assert trunk_comparison.worst_error(shared(image), own(image)) == 0
        units = shared(image, training=True)
        assert (
            trunk_comparison.worst_error(units, own(image, training=True)) == 0
        )
        # Both moved their averages; the shared one those of `trunk`.
        moved = zip(trunk.weights, own.weights, strict=True)
        for variable, expected in moved:
            np.testing.assert_array_equal(variable, expected)

    def test_of_a_shared_trunk(self):
        trunk = trunk_lib.build_trunk(TINY)
        config = dataclasses.replace(TINY, output_stride=8)
        again = trunk_lib.build_trunk(
            TINY, share=trunk_lib.build_trunk(config, share=trunk)
        )
        image = slim_reference.random_image(48, 48)
        assert trunk_comparison.worst_error(again(image), trunk(image)) == 0

    def test_keeps_the_precision(self):
        trunk = trunk_lib.build_trunk(TINY, dtype="mixed_bfloat16")
        config = dataclasses.replace(TINY, output_stride=8)
        shared = trunk_lib.build_trunk(config, share=trunk)
        image = slim_reference.random_image(64, 64)
        assert {x.dtype for x in shared(image).values()} == {tf.bfloat16}
        assert {v.dtype for v in shared.weights} == {"float32"}

    @pytest.mark.parametrize(
        "change, named",
        [
            ({"num_units": (1, 1, 3)}, "block3_unit_4_conv1"),
            ({"num_units": (1, 1, 5)}, "block3_unit_5_preact"),
            ({"width": 0.5}, "32"),
        ],
    )
    def test_refuses_another_shape(self, change, named):
        trunk = trunk_lib.build_trunk(TINY)
        with pytest.raises(ValueError, match=named):
            trunk_lib.build_trunk(
                dataclasses.replace(TINY, **change), share=trunk
            )


class TestBlock4:
    def test_strides_and_shares(self):
        features = np.ones([2, 14, 14, 256], np.float32)
        dense = trunk_lib.build_block4(TINY)
        box_head = trunk_lib.build_block4(TINY, first_stride=2, share=dense)
        assert dense(features).shape == (2, 14, 14, 512)
        assert box_head(features).shape == (2, 7, 7, 512)
        assert len(box_head.weights) == len(dense.weights)
        assert np.min(dense(features)) >= 0

    def test_refuses_a_stride_that_does_not_fit(self):
        with pytest.raises(ValueError, match="got 3"):
            trunk_lib.build_block4(TINY, first_stride=3)
        config = dataclasses.replace(TINY, output_stride=8)
        with pytest.raises(ValueError, match="output_stride=8"):
            trunk_lib.build_block4(config, first_stride=2)


class TestGolden:
    @pytest.mark.parametrize("height, width, stride", golden.CASES)
    def test_units(self, trunks, expected, height, width, stride):
        trunk_comparison.set_random_weights(trunks[32])
        units = trunks[stride](slim_reference.random_image(height, width))
        key = golden.units_key(height, width, stride)
        samples = golden.sample_all(units)
        for actual, unit in zip(samples, expected[key], strict=True):
            assert trunk_comparison.relative_error(actual, unit) < 1e-5

    def test_training_mode(self, trunks, expected):
        variables = trunk_comparison.set_random_weights(trunks[32])
        height, width, stride = golden.TRAINING_CASE
        image = slim_reference.random_image(
            height, width, golden.TRAINING_BATCH
        )
        units = trunks[stride](image, training=True)
        averages = {n: v for n, v in variables.items() if "/moving_" in n}
        for arrays, key in ((units, "train_units"), (averages, "averages")):
            samples = golden.sample_all(arrays)
            for actual, wanted in zip(samples, expected[key], strict=True):
                assert trunk_comparison.relative_error(actual, wanted) < 1e-4
