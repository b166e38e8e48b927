"""Ids of the linear protocols, and settings that do not fit together."""

import dataclasses

import pytest

from evaluation.classification import protocol as protocol_lib
from mtssl_tf.models import config as model_config

_FULL = protocol_lib.PRESETS["paper"].full


def test_every_preset_has_ids_of_its_own():
    protocols = [
        protocol
        for preset in protocol_lib.PRESETS.values()
        for protocol in (preset.fast, preset.full)
    ]
    assert len({protocol.id for protocol in protocols}) == len(protocols)


@pytest.mark.parametrize(
    "change",
    [
        {"batch_norm": "reestimated"},
        {"output_stride": 16},
        {"output_stride": 16, "lasso": model_config.LassoConfig()},
        {"learning_rate": 0.02},
    ],
)
def test_a_changed_setting_changes_the_id(change):
    assert dataclasses.replace(_FULL, **change).id != _FULL.id


def test_a_changed_penalty_changes_the_id():
    ids = {
        dataclasses.replace(
            _FULL, output_stride=16, lasso=model_config.LassoConfig(l1=l1)
        ).id
        for l1 in (0.01, 0.02)
    }
    assert len(ids) == 2


@pytest.mark.parametrize(
    "change, value",
    [
        ({"batch_norm": "thawed"}, "thawed"),
        ({"resize_px": 200}, "200"),
        ({"train_resize_px": 200}, "200"),
        ({"lasso": model_config.LassoConfig()}, "32"),
    ],
)
def test_settings_that_do_not_fit_are_named(change, value):
    with pytest.raises(ValueError, match=value):
        dataclasses.replace(_FULL, **change)
