"""What matched, what was missing, what was left over and why."""

import numpy as np
import pytest
import slim_files
from slim_files import assert_untouched
from slim_files import BEFORE
from slim_files import KERNEL
from slim_files import write_checkpoint

from mtssl_tf import slim_checkpoint
from mtssl_tf.trunk import build_trunk
from mtssl_tf.trunk import TrunkConfig


@pytest.fixture
def arrays():
    return dict(slim_files.tiny_arrays())


@pytest.fixture
def trunk():
    return slim_files.filled_trunk()


def test_says_why_variables_are_left_over(tmp_path, trunk, arrays):
    number = np.float32(1)
    path = write_checkpoint(
        tmp_path / "model.ckpt",
        {
            **arrays,
            "global_step": np.int64(3),
            f"{KERNEL}/RMSProp": arrays[KERNEL],
            f"{KERNEL}/RMSProp_1": arrays[KERNEL],
            f"{KERNEL}/ExponentialMovingAverage": arrays[KERNEL],
            "colorization/head/weights": number,
            "resnet_v2/logits/weights": number,
        },
    )
    report = slim_checkpoint.load(trunk, path)
    assert not report.missing
    assert report.matched[KERNEL] == arrays[KERNEL].shape
    reasons = {n: reason for n, (_, reason) in report.left_over.items()}
    assert reasons["global_step"] == "a counter of the training"
    assert reasons[f"{KERNEL}/RMSProp_1"] == "an optimizer's slot"
    assert "moving average" in reasons[f"{KERNEL}/ExponentialMovingAverage"]
    assert reasons["colorization/head/weights"] == "outside of resnet_v2"
    assert reasons["resnet_v2/logits/weights"] == "after block 4"
    assert "block 4" in reasons["resnet_v2/postnorm/beta"]
    assert f"matched: {KERNEL} [3, 3, 8, 8]" in report.details()
    assert "2 x an optimizer's slot" in report.summary()


def test_missing_is_an_error_unless_named(tmp_path, trunk, arrays):
    short = {n: a for n, a in arrays.items() if n != KERNEL}
    path = write_checkpoint(tmp_path / "model.ckpt", short)
    with pytest.raises(ValueError) as error:
        slim_checkpoint.load(trunk, path)
    assert f"{KERNEL} [3, 3, 8, 8]" in str(error.value)
    assert_untouched(trunk)
    report = slim_checkpoint.load(
        trunk, path, partial=["block2/unit_1/bottleneck_v2/conv2"]
    )
    assert list(report.missing) == [KERNEL]
    assert np.all(trunk.get_layer("block2_unit_1_conv2").kernel == BEFORE)
    assert KERNEL in report.summary()


def test_deeper_checkpoint_is_an_error(tmp_path, arrays):
    path = write_checkpoint(tmp_path / "model.ckpt", arrays)
    short = build_trunk(TrunkConfig(num_units=(1, 1, 1), width=1 / 16))
    with pytest.raises(ValueError, match="block3/unit_2"):
        slim_checkpoint.load(short, path)
    slim_checkpoint.load(short, path, partial=["block3/unit_2"])
