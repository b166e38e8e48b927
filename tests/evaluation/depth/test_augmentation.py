"""The augmentation's geometry, and what it does to depth and colour."""

import numpy as np
import pytest

from evaluation.depth import augmentation
from evaluation.depth import config as depth_config

_NONE = depth_config.AugmentationConfig(
    max_scale=1.0, max_rotation_deg=0.0, max_color_change=0.0, use_flip=False
)


def _ramp(height=24, width=32):
    """A picture whose red says the column, and depth that says it too."""
    columns = np.broadcast_to(np.arange(width), (height, width))
    rows = np.broadcast_to(np.arange(height)[:, None], (height, width))
    rgb = np.stack([4 * columns, 4 * rows, np.full_like(rows, 100)], axis=-1)
    return rgb.astype(np.uint8), (1.0 + columns).astype(np.float32)


def _augment(config, seed=0, depth=None):
    rgb, depth_m = _ramp()
    return augmentation.augment(
        rgb,
        depth_m if depth is None else depth,
        config,
        np.random.default_rng(seed),
    )


def test_nothing_to_draw_changes_nothing():
    rgb, depth_m = _augment(_NONE)
    np.testing.assert_array_equal(rgb, _ramp()[0])
    assert depth_m.shape == (12, 16) and depth_m.dtype == np.float32
    # Every depth is one of the pixels that its prediction covers.
    whole = _ramp()[1]
    np.testing.assert_array_less(whole[::2, ::2] - 1e-6, depth_m)
    np.testing.assert_array_less(depth_m, whole[::2, 1::2] + 1e-6)


@pytest.mark.parametrize("seed", range(6))
def test_picture_and_depth_stay_registered(seed):
    # Red / 4 is the column in the source; depth * scale - 1 as well.
    config = depth_config.AugmentationConfig(max_color_change=0.0)
    rgb, depth_m = _augment(config, seed)
    scale = np.random.default_rng(seed).uniform(1.0, config.max_scale)
    from_depth = depth_m * scale - 1.0
    red = rgb[..., 0].astype(float) / 4
    from_rgb = red.reshape(12, 2, 16, 2).mean(axis=(1, 3))
    is_inside = (rgb[..., 2].reshape(12, 2, 16, 2) == 100).all(axis=(1, 3))
    is_inside &= depth_m > 0
    assert is_inside.mean() > 0.7
    error = np.abs(from_depth - from_rgb)[is_inside]
    assert error.max() < 1.0 and error.mean() < 0.5


def test_scale_divides_depth():
    config = depth_config.AugmentationConfig(2.0, 0.0, 0.0, False)
    depth = np.full((24, 32), 3.0, np.float32)
    _, depth_m = _augment(config, seed=4, depth=depth)
    scale = np.random.default_rng(4).uniform(1.0, 2.0)
    np.testing.assert_allclose(depth_m, 3.0 / scale, rtol=1e-6)


def test_flip_mirrors_half_of_the_time():
    config = depth_config.AugmentationConfig(1.0, 0.0, 0.0, True)
    original, _ = _ramp()
    num_flipped = 0
    for seed in range(40):
        rgb, depth_m = _augment(config, seed=seed)
        is_flipped = rgb[0, 0, 0] > rgb[0, -1, 0]
        num_flipped += is_flipped
        expected = original[:, ::-1] if is_flipped else original
        np.testing.assert_array_equal(rgb, expected)
        assert (depth_m[0, 0] > depth_m[0, -1]) == is_flipped
    assert 10 <= num_flipped <= 30


def test_missing_depth_stays_missing_and_is_never_mixed_in():
    depth = np.full((24, 32), 3.0, np.float32)
    depth[::3, ::2] = 0.0
    config = depth_config.AugmentationConfig(1.3, 5.0, 0.2, True)
    _, depth_m = _augment(config, seed=1, depth=depth)
    scale = np.random.default_rng(1).uniform(1.0, 1.3)
    known = depth_m[depth_m > 0]
    np.testing.assert_allclose(known, 3.0 / scale, rtol=1e-6)
    assert 0.05 < np.mean(depth_m == 0) < 0.6


def test_colour_change_multiplies_each_channel():
    config = depth_config.AugmentationConfig(1.0, 0.0, 0.2, False)
    rgb, _ = _augment(config, seed=2)
    blue = rgb[..., 2] / 100.0
    assert np.ptp(blue) == 0.0 and 0.8 <= blue[0, 0] <= 1.2
    ratio = rgb[:, 10:, 0] / (4.0 * np.arange(10, 32))
    assert ratio.std() < 0.01 and abs(ratio.mean() - blue[0, 0]) > 1e-3


def test_same_seed_same_result():
    config = depth_config.AugmentationConfig()
    once, again, other = (_augment(config, s) for s in (5, 5, 6))
    np.testing.assert_array_equal(once[0], again[0])
    np.testing.assert_array_equal(once[1], again[1])
    assert np.any(once[0] != other[0])
