"""What a run was trained with, and that a change is not lost."""

import getpass
import importlib.metadata
import json
import platform
import re

import pytest

from mtssl_tf import version
from mtssl_tf.training import environment


def _load(workdir):
    return json.loads((workdir / environment.FILE).read_text())


def test_it_says_versions_commit_and_hardware(tmp_path):
    environment.record(tmp_path)
    found = _load(tmp_path)
    assert found["mtssl_tf"] == version.VERSION
    numpy_version = importlib.metadata.version("numpy")
    assert found["packages"]["numpy"] == numpy_version
    assert found["packages"]["tensorflow"].startswith("2.20")
    assert len(found["commit"]) == 40
    assert found["cpu"] and found["num_cpus"] >= 1
    assert found["history"] == []
    values = {key: each for key, each in found.items() if key != "packages"}
    words = re.findall(r"[\w.-]+", json.dumps(values))
    assert str(found["num_cpus"]) in words
    assert not {platform.node(), getpass.getuser()} & set(words)


def test_the_same_again_changes_nothing_and_another_is_kept(
    tmp_path, monkeypatch, caplog
):
    environment.record(tmp_path)
    first = (tmp_path / environment.FILE).read_text()
    environment.record(tmp_path)
    assert (tmp_path / environment.FILE).read_text() == first
    assert not caplog.text
    packages = {**environment._packages(), "numpy": "9.9.9"}
    monkeypatch.setattr(environment, "_packages", lambda: packages)
    environment.record(tmp_path)
    found = _load(tmp_path)
    (before,) = found["history"]
    assert found["packages"]["numpy"] == "9.9.9"
    assert before == {
        key: value
        for key, value in json.loads(first).items()
        if key != "history"
    }
    assert "numpy" in caplog.text and "-> 9.9.9" in caplog.text
    monkeypatch.undo()
    environment.record(tmp_path)
    assert len(_load(tmp_path)["history"]) == 2


@pytest.mark.parametrize(
    "text", ["{", '{"history": null}', '{"packages": null}', '{"packages": 1}']
)
def test_a_damaged_one_is_one_line(tmp_path, text):
    (tmp_path / environment.FILE).write_text(text)
    with pytest.raises(ValueError, match="Remove it"):
        environment.record(tmp_path)
