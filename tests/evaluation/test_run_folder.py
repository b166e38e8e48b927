"""A folder is gone on with only by the run that it holds."""

import dataclasses
import json
from typing import ClassVar

import pytest

from evaluation import result
from evaluation import run_folder


@dataclasses.dataclass(frozen=True)
class _Protocol(result.Protocol):
    name: ClassVar[str] = "toy"
    version: ClassVar[int] = 1
    steps: int = 3


@dataclasses.dataclass(frozen=True)
class _Trunk:
    source: str = "random"
    digest: str = "abc"
    config: None = None


def _check(folder, steps=3, digest="abc", train="t", seed=0):
    run_folder.check_same_run(
        folder, _Protocol(steps), _Trunk(digest=digest), {"train": train}, seed
    )


def test_the_same_run_goes_on_and_any_other_is_named(tmp_path):
    folder = tmp_path / "out"
    _check(folder)
    _check(folder)
    for change, name in (
        ({"steps": 4}, "protocol_id"),
        ({"digest": "def"}, "trunk"),
        ({"train": "u"}, "train"),
        ({"seed": 1}, "seed"),
    ):
        with pytest.raises(ValueError, match=rf"out.*differs in \['{name}'\]"):
            _check(folder, **change)


def test_what_lies_there_of_others_is_not_replaced(tmp_path):
    # A kind of fault: a folder without our record taken for a new one.
    (tmp_path / "saved_model").mkdir()
    with pytest.raises(ValueError, match="saved_model of something else"):
        _check(tmp_path)
    assert not (tmp_path / "run.json").exists()


def test_the_file_is_that_of_earlier_versions(tmp_path):
    _check(tmp_path)
    assert json.loads((tmp_path / "run.json").read_text()) == {
        "protocol_id": _Protocol().id,
        "trunk": "abc",
        "train": "t",
        "seed": 0,
    }


@pytest.mark.parametrize("place", [".", "checkpoints"])
def test_checkpoints_of_an_unknown_run_are_not_gone_on_from(tmp_path, place):
    # A kind of fault: a record is lost, and what it guarded is free for all.
    (tmp_path / place).mkdir(exist_ok=True)
    (tmp_path / place / "ckpt-3.index").write_bytes(b"")
    with pytest.raises(ValueError, match=r"no run\.json.*another --out"):
        _check(tmp_path)


def test_a_broken_file_is_named(tmp_path):
    (tmp_path / "run.json").write_text('{"seed": ')
    with pytest.raises(ValueError, match=r"run\.json.*another --out"):
        _check(tmp_path)
