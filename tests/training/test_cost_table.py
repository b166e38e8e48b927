"""The file of seconds per step, and what is wrong with one."""

import json

import pytest

from mtssl_tf import config as config_lib
from mtssl_tf.training import cost_table

_TASKS = ["colorization", "exemplar"]


def _config(*assignments):
    return config_lib.override(
        config_lib.preset_config("tiny", _TASKS), *assignments
    )


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "costs.json"
    seconds = {"colorization": 0.5, "exemplar": 0.25}
    cost_table.save(path, _config(), "one machine", seconds)
    return path


def test_presets_and_tasks_are_added_to_one_file(path):
    small = config_lib.preset_config("small", _TASKS)
    cost_table.save(path, small, "one machine", {"exemplar": 3.0})
    assert cost_table.load(path, _config()).seconds == {
        "colorization": 0.5,
        "exemplar": 0.25,
    }
    cost_table.save(path, _config(), "one machine", {"exemplar": 0.125})
    assert cost_table.load(path, _config()).seconds["exemplar"] == 0.125
    with pytest.raises(ValueError, match="no .* of colorization at .* small"):
        cost_table.load(path, small)


def test_machines_are_kept_apart(path):
    with pytest.raises(ValueError, match="one machine; this is another"):
        cost_table.save(path, _config(), "another", {"exemplar": 1.0})


def test_other_settings_are_said(path, caplog):
    free = ("exemplar.weight=3", "exemplar.learning_rate=1", "train.steps=9")
    cost_table.load(path, _config(*free))
    assert not caplog.text
    wide = _config("trunk.width=0.5", "exemplar.batch_size=4")
    cost_table.load(path, wide)
    assert "exemplar was measured with the preset as it is" in caplog.text
    assert "exemplar.batch_size: 32 -> 4" in caplog.text
    caplog.clear()
    cost_table.save(path, wide, "one machine", {"exemplar": 1.0})
    cost_table.load(path, wide)
    assert "colorization was measured" in caplog.text
    assert "exemplar was measured" not in caplog.text


def test_a_run_keeps_the_table_that_it_was_given(path, tmp_path, caplog):
    run = tmp_path / "run"
    run.mkdir()
    assert cost_table.find(run, _config()) is None
    given = _config(f"train.costs={path}")
    prices = cost_table.find(run, given)
    path.unlink()
    assert cost_table.find(run, _config()) == prices
    with pytest.raises(FileNotFoundError, match="costs.json is missing"):
        cost_table.find(run, given)
    cost_table.save(path, _config(), "x", {n: 9.0 for n in _TASKS})
    assert cost_table.find(run, given).seconds["exemplar"] == 9.0
    assert "not what the run began with" in caplog.text


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "{}",
        '{"machine": "m", "seconds_per_step": {"tiny": 3}}',
        '{"machine": "m", "seconds_per_step": {"tiny": {"exemplar": 3}}}',
        json.dumps(
            {
                "machine": "m",
                "seconds_per_step": {
                    "tiny": {"exemplar": {"seconds": -1, "settings": []}}
                },
            }
        ),
        '{"machine": "m", "seconds_per_step": {"tiny": {"exemplar": '
        '{"seconds": 1e-320, "settings": []}}}}',
        '{"exemplar": 0.5}',  # of an earlier version
    ],
)
def test_what_is_no_table_is_named(text, tmp_path):
    path = tmp_path / "costs.json"
    path.write_text(text)
    with pytest.raises(ValueError, match="costs.json .*--calibrate"):
        cost_table.check(_config(f"train.costs={path}"))
