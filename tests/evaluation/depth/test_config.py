"""Depth settings that cannot work, and protocols that cannot be confused."""

import dataclasses

import pytest

from evaluation.depth import config as depth_config
from mtssl_tf.models import config as model_config

_OFFICIAL = depth_config.DepthProtocol(
    "official 795/654", "filled", None, depth_config.PRESETS["paper"]
)


def test_official_protocol_keeps_its_id():
    # docs/nyu_depth.md names it: what changes it makes another protocol.
    assert _OFFICIAL.id == "nyu-depth-v1-bc4f5f4c"


@pytest.mark.parametrize(
    "change",
    [
        {"split": "last 0.25 of the frames by name"},
        {"test_depth": "as stored"},
        {"lasso": model_config.LassoConfig()},
        {"training": depth_config.DepthConfig(steps=3)},
    ],
)
def test_any_setting_changes_the_id(change):
    assert dataclasses.replace(_OFFICIAL, **change).id != _OFFICIAL.id


@pytest.mark.parametrize("size", [(227, 304), (228, 0), (-2, 304)])
def test_picture_size_must_be_even_and_positive(size):
    with pytest.raises(ValueError, match=str(size[0])):
        depth_config.DepthConfig(picture_size=size)


def test_there_are_three_up_projections():
    for filters in ((), (64, 32), (64, 32, 0)):
        with pytest.raises(ValueError, match="up_filters must be"):
            depth_config.DepthConfig(up_filters=filters)


def test_counts_must_be_positive():
    with pytest.raises(ValueError, match="steps must be >= 1, got 0"):
        depth_config.DepthConfig(steps=0)


def test_only_a_lasso_that_steps_is_told_apart_from_before():
    # A kind of fault: code changes what a setting means, and the id stays.
    lasso = model_config.LassoConfig()
    mixed = dataclasses.replace(_OFFICIAL, lasso=lasso)
    assert "1 - momentum" in mixed.settings()["proximal_step"]
    in_loss = dataclasses.replace(lasso, proximal=False)
    for same_as_before in (
        _OFFICIAL,
        dataclasses.replace(_OFFICIAL, lasso=in_loss),
    ):
        assert "proximal_step" not in same_as_before.settings()
