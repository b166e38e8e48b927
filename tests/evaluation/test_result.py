"""Protocol ids and the file that every evaluation writes."""

import dataclasses
import json
import pathlib
import re
import shlex
import sys
from typing import ClassVar

import numpy as np
import pytest

from evaluation import result
from mtssl_tf import version as version_lib


@dataclasses.dataclass(frozen=True)
class _Protocol(result.Protocol):
    name: ClassVar[str] = "toy"
    version: ClassVar[int] = 3
    image_px: int = 96
    scales: tuple[int, ...] = (1, 2)


@dataclasses.dataclass(frozen=True)
class _Config:
    depth: int = 50


@dataclasses.dataclass(frozen=True)
class _Trunk:
    source: str = "random"
    digest: str = "abc"
    config: _Config = _Config()


def _save(folder, metrics, **kwargs):
    return result.save_result(
        folder,
        _Protocol(),
        metrics,
        trunk=_Trunk(),
        data={"train": 3},
        seed=7,
        wall_time_s=1.5,
        **kwargs,
    )


def test_id_holds_name_and_version_and_covers_every_setting():
    default = _Protocol()
    assert re.fullmatch(r"toy-v3-[0-9a-f]{8}", default.id)
    assert default.id == _Protocol(image_px=96).id
    assert default.id != _Protocol(image_px=97).id
    assert default.id != _Protocol(scales=(1, 3)).id


def test_a_setting_cannot_be_changed_after_the_fact():
    with pytest.raises(dataclasses.FrozenInstanceError):
        _Protocol().image_px = 5


def test_result_comes_back_as_it_was_saved(tmp_path):
    path = _save(
        tmp_path / "new",
        {"top1": np.float32(42.5), "per_class": np.array([1.0, 2.0])},
        extra=result.mix_entries("linear", np.array([0.6, 0.8]), ["a", "b"]),
    )
    assert path == tmp_path / "new" / "result.json"
    record = result.load_result(path.parent)
    assert record == result.load_result(path)
    assert record["metrics"] == {"top1": 42.5, "per_class": [1.0, 2.0]}
    assert record["mixing_weights"] == {"linear": [0.6, 0.8]}
    assert record["unit_names"] == ["a", "b"]
    assert result.load_mixes(path) == {"linear": [0.6, 0.8]}
    assert record["protocol_id"] == _Protocol().id
    assert record["protocol"] == {"image_px": 96, "scales": [1, 2]}
    assert record["trunk"] == {
        "source": "random",
        "digest": "abc",
        "config": {"depth": 50},
    }
    assert record["data"] == {"train": 3}
    assert record["seed"] == 7
    assert record["wall_time_s"] == 1.5
    assert record["version"] == version_lib.VERSION
    assert record["command"] == shlex.join(sys.orig_argv)


def test_a_result_without_a_mix_has_no_entry_of_one(tmp_path):
    path = _save(tmp_path, {}, extra=result.mix_entries("linear", None, []))
    assert "mixing_weights" not in result.load_result(path)
    assert result.load_mixes(path) == {}


def test_a_number_that_is_not_finite_becomes_null(tmp_path):
    path = _save(tmp_path, {"ap": float("nan"), "x": [np.float32("inf")]})
    text = path.read_text()
    assert json.loads(text)["metrics"] == {"ap": None, "x": [None]}
    assert "NaN" not in text and "Infinity" not in text


def test_no_partial_file_stays_and_a_second_result_replaces_the_first(
    tmp_path,
):
    _save(tmp_path, {"top1": 1.0})
    _save(tmp_path, {"top1": 2.0})
    assert [item.name for item in tmp_path.iterdir()] == ["result.json"]
    assert result.load_result(tmp_path)["metrics"]["top1"] == 2.0


def test_extra_may_not_hide_what_every_result_has(tmp_path):
    with pytest.raises(ValueError, match="'seed'"):
        _save(tmp_path, {}, extra={"seed": 1})


def test_a_missing_result_is_named(tmp_path):
    missing = pathlib.Path(tmp_path / "nothing")
    with pytest.raises(FileNotFoundError, match="nothing"):
        result.load_result(missing)
