"""Training batches as a function of seed and step."""

import dataclasses

import numpy as np
import pytest

from evaluation.depth import batches as batches_lib
from evaluation.depth import config as depth_config
from evaluation.depth import pairs

_CONFIG = depth_config.DepthConfig(picture_size=(12, 16), batch_size=4)
_PLAIN = dataclasses.replace(
    _CONFIG, augmentation=depth_config.AugmentationConfig(1.0, 0.0, 0.0, False)
)


class _Pairs:
    """Ten pictures whose depth is their number plus one."""

    def __len__(self):
        return 10

    def __getitem__(self, index):
        rgb = np.random.default_rng(index).integers(
            0, 256, (24, 32, 3), np.uint8
        )
        depth = np.full((24, 32), 1.0 + index, np.float32)
        return pairs.DepthPair(str(index), rgb, depth)

    def fingerprint(self):
        return "ten"


def test_shapes_and_types():
    pictures, depths = batches_lib.DepthBatches(_Pairs(), _CONFIG, 0).batch(0)
    assert pictures.shape == (4, 12, 16, 3) and pictures.dtype == np.uint8
    assert depths.shape == (4, 6, 8) and depths.dtype == np.float32


def test_every_pass_uses_each_pair_once_in_another_order():
    batches = batches_lib.DepthBatches(_Pairs(), _PLAIN, 0)
    depths = np.concatenate([batches.batch(step)[1] for step in range(5)])
    used = depths[:, 3, 3].reshape(2, 10)
    np.testing.assert_array_equal(np.sort(used), [np.arange(1.0, 11.0)] * 2)
    assert np.any(used[0] != used[1])


def test_any_step_can_be_made_alone():
    one_by_one = batches_lib.DepthBatches(_Pairs(), _CONFIG, 7)
    in_a_row = list(
        batches_lib.DepthBatches(_Pairs(), _CONFIG, 7).batches(0, 5)
    )
    assert len(in_a_row) == 5
    for step in (4, 1):
        for ours, theirs in zip(one_by_one.batch(step), in_a_row[step]):
            np.testing.assert_array_equal(ours, theirs)


def test_seed_changes_order_and_augmentation():
    first = batches_lib.DepthBatches(_Pairs(), _CONFIG, 0).batch(0)
    second = batches_lib.DepthBatches(_Pairs(), _CONFIG, 1).batch(0)
    assert np.any(first[1] != second[1])


def test_error_while_reading_reaches_the_trainer():
    class Broken(_Pairs):
        def __getitem__(self, index):
            raise ValueError(f"picture {index} is damaged")

    with pytest.raises(ValueError, match="is damaged"):
        next(batches_lib.DepthBatches(Broken(), _CONFIG, 0).batches(0, 2))
