"""What matched, what was missing, what was left over and why."""

import numpy as np
import pytest
import slim_files

from mtssl_tf.models import config as model_config
from mtssl_tf.models import trunk as trunk_lib
from mtssl_tf.slim import checkpoint


@pytest.fixture
def arrays():
    return dict(slim_files.tiny_arrays())


@pytest.fixture
def trunk():
    return slim_files.filled_trunk()


def test_says_why_variables_are_left_over(tmp_path, trunk, arrays):
    number = np.float32(1)
    path = slim_files.write_checkpoint(
        tmp_path / "model.ckpt",
        {
            **arrays,
            "global_step": np.int64(3),
            f"{slim_files.KERNEL}/RMSProp": arrays[slim_files.KERNEL],
            f"{slim_files.KERNEL}/RMSProp_1": arrays[slim_files.KERNEL],
            f"{slim_files.KERNEL}/ExponentialMovingAverage": arrays[
                slim_files.KERNEL
            ],
            "colorization/head/weights": number,
            "resnet_v2/logits/weights": number,
        },
    )
    report = checkpoint.load(trunk, path)
    assert not report.missing
    assert report.matched[slim_files.KERNEL] == arrays[slim_files.KERNEL].shape
    reasons = {n: reason for n, (_, reason) in report.left_over.items()}
    assert reasons["global_step"] == "a counter of the training"
    assert reasons[f"{slim_files.KERNEL}/RMSProp_1"] == "an optimizer's slot"
    assert (
        "moving average"
        in reasons[f"{slim_files.KERNEL}/ExponentialMovingAverage"]
    )
    assert reasons["colorization/head/weights"] == "outside of resnet_v2"
    assert reasons["resnet_v2/logits/weights"] == "after the trunk and block 4"
    assert "block 4" in reasons["resnet_v2/postnorm/beta"]
    assert f"matched: {slim_files.KERNEL} [3, 3, 8, 8]" in report.details()
    assert "2 x an optimizer's slot" in report.summary()


def test_missing_is_an_error_unless_named(tmp_path, trunk, arrays):
    short = {n: a for n, a in arrays.items() if n != slim_files.KERNEL}
    path = slim_files.write_checkpoint(tmp_path / "model.ckpt", short)
    with pytest.raises(ValueError) as error:
        checkpoint.load(trunk, path)
    assert f"{slim_files.KERNEL} [3, 3, 8, 8]" in str(error.value)
    slim_files.assert_untouched(trunk)
    report = checkpoint.load(
        trunk, path, partial=["block2/unit_1/bottleneck_v2/conv2"]
    )
    assert list(report.missing) == [slim_files.KERNEL]
    assert np.all(
        trunk.get_layer("block2_unit_1_conv2").kernel == slim_files.BEFORE
    )
    assert slim_files.KERNEL in report.summary()


def test_deeper_checkpoint_is_an_error(tmp_path, arrays):
    path = slim_files.write_checkpoint(tmp_path / "model.ckpt", arrays)
    short = trunk_lib.build_trunk(
        model_config.TrunkConfig(num_units=(1, 1, 1), width=1 / 16)
    )
    with pytest.raises(ValueError, match="block3/unit_2"):
        checkpoint.load(short, path)
    checkpoint.load(short, path, partial=["block3/unit_2"])
