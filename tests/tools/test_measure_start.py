"""What a user waits for at a start, timed beside a reference."""

import os

import pytest

from tools import measure_start


def _check(found):
    assert found["ours"] > 0 and found["reference"] > 0
    assert found["ratio"] == found["ours"] / found["reference"]


@pytest.mark.parametrize("name", ["help_time", "mistake_time"])
def test_help_and_a_mistake_are_timed(name):
    found = getattr(measure_start, name)(1)
    _check(found)
    # Python alone is 0.03 s of it, where TensorFlow takes several seconds.
    assert found["ratio"] < 30


def test_a_tree_has_its_files(tmp_path, monkeypatch):
    monkeypatch.setattr(measure_start, "_FILES_PER_FOLDER", 4)
    measure_start.make_tree(tmp_path / "tree", 10)
    sizes = [len(files) for _, _, files in os.walk(tmp_path / "tree")]
    assert sorted(sizes) == [0, 2, 4, 4]


def test_listing_is_timed_at_the_first_start_and_again():
    found = measure_start.listing_times(2500, 2)
    assert list(found) == ["list", "list_again"]
    for times in found.values():
        _check(times)


@pytest.mark.long
def test_the_first_step_is_timed():
    found = measure_start.first_step_time(1)
    _check(found)
    assert found["beyond"] == found["ours"] - found["reference"]
