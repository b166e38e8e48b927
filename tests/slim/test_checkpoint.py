"""TF-Slim checkpoints in and out, good ones and bad ones."""

import os
import pathlib
import shutil

import each_change
import keras
import numpy as np
import pytest
import slim_files
import slim_reference

from mtssl_tf.models import config as model_config
from mtssl_tf.models import input_contract
from mtssl_tf.models import trunk as trunk_lib
from mtssl_tf.slim import checkpoint


@pytest.fixture
def arrays():
    return dict(slim_files.tiny_arrays())


@pytest.fixture
def trunk():
    return slim_files.filled_trunk()


class TestBadWeights:
    @pytest.mark.parametrize("value", [np.nan, np.inf])
    def test_not_finite(self, tmp_path, trunk, arrays, value):
        bad = arrays[slim_files.KERNEL].copy()
        bad[0, 0, 1, 2] = value
        arrays = {**arrays, slim_files.KERNEL: bad}
        path = slim_files.write_checkpoint(tmp_path / "model.ckpt", arrays)
        with pytest.raises(ValueError, match=f"{slim_files.KERNEL}.* 1 value"):
            checkpoint.load(trunk, path)
        slim_files.assert_untouched(trunk)

    def test_negative_variance(self, tmp_path, trunk, arrays):
        name = "resnet_v2/block1/unit_1/bottleneck_v2/preact/moving_variance"
        bad = {**arrays, name: -arrays[name]}
        path = slim_files.write_checkpoint(tmp_path / "model.ckpt", bad)
        with pytest.raises(ValueError, match=name):
            checkpoint.load(trunk, path)
        slim_files.assert_untouched(trunk)

    def test_wrong_shape(self, tmp_path, trunk, arrays):
        bad = {
            **arrays,
            slim_files.KERNEL: np.zeros([3, 3, 8, 4], np.float32),
        }
        path = slim_files.write_checkpoint(tmp_path / "model.ckpt", bad)
        with pytest.raises(ValueError) as error:
            checkpoint.load(trunk, path)
        message = f"{slim_files.KERNEL} is [3, 3, 8, 4], expected [3, 3, 8, 8]"
        assert message in str(error.value)
        slim_files.assert_untouched(trunk)

    def test_wrong_type(self, tmp_path, trunk, arrays):
        bad = {
            **arrays,
            slim_files.KERNEL: arrays[slim_files.KERNEL].astype(np.int32),
        }
        path = slim_files.write_checkpoint(tmp_path / "model.ckpt", bad)
        with pytest.raises(ValueError, match=f"{slim_files.KERNEL}.*int32"):
            checkpoint.load(trunk, path)
        slim_files.assert_untouched(trunk)

    def test_double_precision_is_fine(self, tmp_path, trunk, arrays):
        double = {name: a.astype(np.float64) for name, a in arrays.items()}
        path = slim_files.write_checkpoint(tmp_path / "model.ckpt", double)
        checkpoint.load(trunk, path)
        kernel = trunk.get_layer("block2_unit_1_conv2").kernel
        np.testing.assert_array_equal(kernel, arrays[slim_files.KERNEL])

    def test_another_architecture(self, tmp_path, trunk):
        name = "InceptionV3/Conv2d_1a_3x3/weights"
        path = slim_files.write_checkpoint(
            tmp_path / "model.ckpt", {name: np.float32(1)}
        )
        with pytest.raises(ValueError, match=f"resnet_v2.*{name}"):
            checkpoint.load(trunk, path)
        slim_files.assert_untouched(trunk)

    def test_several_trunks(self, tmp_path, trunk, arrays):
        moved = {n.replace("resnet_v2", "b/net"): a for n, a in arrays.items()}
        path = slim_files.write_checkpoint(
            tmp_path / "model.ckpt", {**arrays, **moved}
        )
        with pytest.raises(ValueError, match="b/net.*resnet_v2"):
            checkpoint.load(trunk, path)
        checkpoint.load(trunk, path, scope="b/net")

    @pytest.mark.parametrize("share", [0.02, 0.5, 0.99])
    @pytest.mark.parametrize("part", [".data-00000-of-00001", ".index"])
    def test_truncated_v2(self, tmp_path, trunk, arrays, part, share):
        path = slim_files.write_checkpoint(tmp_path / "model.ckpt", arrays)
        cut = f"{path}{part}"
        os.truncate(cut, int(os.path.getsize(cut) * share))
        named = "resnet_v2/" if part.startswith(".data") else "model.ckpt"
        with pytest.raises(ValueError, match=named):
            checkpoint.load(trunk, path)
        slim_files.assert_untouched(trunk)

    @pytest.mark.parametrize("share", [0.02, 0.5, 0.99])
    def test_truncated_v1(self, tmp_path, trunk, arrays, share):
        path = slim_files.write_checkpoint(
            tmp_path / "model.ckpt", arrays, "V1"
        )
        os.truncate(path, int(os.path.getsize(path) * share))
        with pytest.raises(ValueError, match="model.ckpt"):
            checkpoint.load(trunk, path)
        slim_files.assert_untouched(trunk)

    def test_an_index_that_claims_more_than_there_is_memory(
        self, tmp_path, trunk, arrays
    ):
        path = slim_files.write_checkpoint(tmp_path / "model.ckpt", arrays)
        index = pathlib.Path(f"{path}.index")
        # Its last 48 bytes say where the index itself is, and how long.
        claim = (bytes(3) + b"\xff" * 7 + b"\x3f").ljust(40, b"\0")
        index.write_bytes(
            index.read_bytes()[:-48] + claim + index.read_bytes()[-8:]
        )
        with pytest.raises(ValueError, match="model.ckpt.* is damaged"):
            checkpoint.load(trunk, path)
        slim_files.assert_untouched(trunk)

    def test_data_that_is_gone(self, tmp_path, trunk, arrays):
        path = slim_files.write_checkpoint(tmp_path / "model.ckpt", arrays)
        os.remove(f"{path}.data-00000-of-00001")
        with pytest.raises(ValueError, match="model.ckpt|resnet_v2/"):
            checkpoint.load(trunk, path)

    def test_flipped_bit(self, tmp_path, trunk, arrays):
        path = pathlib.Path(
            slim_files.write_checkpoint(tmp_path / "model.ckpt", arrays)
        )
        data = path.with_name(f"{path.name}.data-00000-of-00001")
        content = bytearray(data.read_bytes())
        content[100] ^= 1  # in the first variable of block 1
        data.write_bytes(content)
        with pytest.raises(ValueError, match="resnet_v2/"):
            checkpoint.load(trunk, str(path))
        slim_files.assert_untouched(trunk)


class TestSave:
    def test_has_tf_slims_names(self, tmp_path, trunk):
        prefix = tmp_path / "new" / "model.ckpt"
        checkpoint.save(trunk, str(prefix), scope="resnet_v2_50")
        saved = slim_files.read_checkpoint(prefix)
        assert len(saved) == len(trunk.weights)
        for name in (
            "resnet_v2_50/conv1/biases",
            "resnet_v2_50/block1/unit_1/bottleneck_v2/shortcut/weights",
            "resnet_v2_50/block3/unit_2/bottleneck_v2/conv2/BatchNorm/gamma",
        ):
            assert np.all(saved[name] == slim_files.BEFORE)
        assert sorted(p.name for p in prefix.parent.iterdir()) == [
            "model.ckpt.data-00000-of-00001",
            "model.ckpt.index",
        ]

    def test_refuses_nan(self, tmp_path, trunk):
        trunk.get_layer("conv1").bias.assign(np.full(4, np.nan))
        with pytest.raises(ValueError, match="resnet_v2/conv1/biases"):
            checkpoint.save(trunk, str(tmp_path / "model.ckpt"))
        assert not list(tmp_path.iterdir())

    def test_refuses_another_model(self, tmp_path):
        model = keras.Sequential([keras.layers.Dense(2, name="fc")])
        model.build((None, 3))
        with pytest.raises(ValueError, match="'fc'"):
            checkpoint.save(model, str(tmp_path / "model.ckpt"))


def _through_block3(arrays):
    after = ("resnet_v2/block4", "resnet_v2/postnorm")
    return {n: a for n, a in arrays.items() if not n.startswith(after)}


class TestLoadPretrained:
    def test_round_trip(self, tmp_path, arrays):
        path = slim_files.write_checkpoint(tmp_path / "a.ckpt", arrays)
        contract = input_contract.NAMED_CONTRACTS["inception"]
        first = checkpoint.load_pretrained(path, 8, contract=contract)
        assert first.config == model_config.TrunkConfig(
            num_units=(1, 1, 2), width=1 / 16, output_stride=8
        )
        checkpoint.save(
            first.trunk,
            str(tmp_path / "b" / "b.ckpt"),
            block4=first.block4,
            contract=contract,
        )
        second = checkpoint.load_pretrained(str(tmp_path / "b"), 8)
        assert second.contract == contract
        image = slim_reference.random_image(48, 48)
        features = [
            x.block4(x.trunk(image)["unit_02"]) for x in (first, second)
        ]
        np.testing.assert_array_equal(*features)

    def test_without_block4(self, tmp_path, arrays):
        path = slim_files.write_checkpoint(
            tmp_path / "a.ckpt", _through_block3(arrays)
        )
        loaded = checkpoint.load_pretrained(
            path, contract=input_contract.InputContract()
        )
        assert loaded.block4 is None

    def test_refuses_an_unknown_range(self, tmp_path, arrays):
        path = slim_files.write_checkpoint(tmp_path / "a.ckpt", arrays)
        with pytest.raises(ValueError, match="a.ckpt.*--contract"):
            checkpoint.load_pretrained(path)

    def test_refuses_a_range_that_disagrees(self, tmp_path, trunk):
        path = str(tmp_path / "a.ckpt")
        checkpoint.save(trunk, path, contract=input_contract.InputContract())
        with pytest.raises(ValueError, match="127.5"):
            checkpoint.load_pretrained(
                path, contract=input_contract.NAMED_CONTRACTS["inception"]
            )

    def test_refuses_a_gap_in_the_units(self, tmp_path, arrays):
        gap = {n: a for n, a in arrays.items() if "block3/unit_1/" not in n}
        path = slim_files.write_checkpoint(tmp_path / "a.ckpt", gap)
        with pytest.raises(ValueError, match="block3/unit_1/"):
            checkpoint.load_pretrained(
                path, contract=input_contract.InputContract()
            )


class TestAgainstSlim:
    @pytest.mark.parametrize("version", each_change.only("V1", of=["V1", "V2"]))
    @pytest.mark.parametrize("depth", each_change.only(50, of=[50, 101]))
    def test_loads_what_tf_slim_saved(self, tmp_path, version, depth):
        slim = slim_reference.slim_resnet(depth)
        slim.set_weights(slim_reference.random_weights(slim.shapes()))
        slim.save(tmp_path / "model.ckpt", version)
        os.remove(tmp_path / "checkpoint")
        archive = shutil.make_archive(
            str(tmp_path / "published"), "gztar", tmp_path
        )
        loaded = checkpoint.load_pretrained(
            archive, 16, contract=input_contract.InputContract()
        )
        assert loaded.config == model_config.TrunkConfig(
            depth=depth, output_stride=16
        )
        image = slim_reference.random_image(97, 131)
        expected = slim.units(image, 16)
        units = loaded.trunk(image)
        for name, unit in expected.items():
            error = np.abs(units[name] - unit).max()
            assert error < 1e-5 * np.abs(unit).max(), name

    def test_tf_slim_restores_what_we_saved(self, tmp_path):
        slim = slim_reference.slim_resnet(50)
        trunk = trunk_lib.build_trunk(model_config.TrunkConfig(depth=50))
        prefix = tmp_path / "model.ckpt"
        checkpoint.save(trunk, str(prefix))
        names = [n for n in slim.variables if not n.startswith("postnorm")]
        slim.restore(prefix, names)
        image = slim_reference.random_image(97, 131)
        expected = slim.units(image, 16)
        units = trunk(image)
        for name, unit in expected.items():
            error = np.abs(units[name] - unit).max()
            assert error < 1e-5 * np.abs(unit).max(), name
