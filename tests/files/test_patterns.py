"""Paths with the signs of patterns in them, and patterns.

The kind of fault: a user's path taken as a pattern.
"""

import os

import pytest

from mtssl_tf.files import patterns


@pytest.fixture
def folder(tmp_path):
    for name in ("run[1]/a-1", "run[1]/a-2", "run1/a-1", "f[1]", "f1", "f*"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"")
    return tmp_path


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("f[1]", ["f[1]"]),  # there by this name
        ("f*", ["f*"]),
        ("f?", ["f*", "f1"]),
        ("run[1]/a-[12]", ["run[1]/a-1", "run[1]/a-2"]),
        ("run[12]/a-1", ["run1/a-1"]),  # there only as a pattern
        ("r*/a-2", ["run[1]/a-2"]),
        ("none*", []),
        ("run1", []),  # no file
    ],
)
def test_the_literal_name_goes_first(folder, monkeypatch, pattern, expected):
    found = patterns.matching_files(str(folder / pattern))
    assert found == [str(folder / name) for name in expected]
    monkeypatch.chdir(folder)
    assert patterns.matching_files(pattern) == expected


def test_a_pipe_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert patterns.matching_files(str(tmp_path / "p*")) == []
    assert patterns.matching_files(str(tmp_path / "pipe")) == []
