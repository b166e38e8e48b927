"""Every format gives the trunk's own numbers, in its own runtime."""

import importlib.util
import os
import types

import numpy as np
import pytest
import task_cases

from mtssl_tf import export
from mtssl_tf import model_card
from mtssl_tf import pretrained
from mtssl_tf.files import hub
from mtssl_tf.formats import comparison
from mtssl_tf.formats import registry


@pytest.fixture(scope="module")
def loaded():
    loaded = pretrained.load_pretrained(
        "random", random_config=task_cases.SMALL_TRUNK
    )
    random = np.random.default_rng(0)
    for variable in loaded.trunk.non_trainable_variables:
        variable.assign(random.uniform(0.5, 1.5, variable.shape))
    return loaded


@pytest.mark.parametrize("name", registry.FORMATS)
def test_it_gives_the_trunks_numbers_at_any_size(loaded, tmp_path, name):
    each = registry.FORMATS[name]
    if not all(map(importlib.util.find_spec, each.packages)):
        pytest.skip(f"extra {each.extra} is not installed")
    each.write(loaded, tmp_path / each.path)
    expected = comparison.extract_of(loaded)
    for extract in each.load(tmp_path / each.path):
        assert comparison.largest_difference(expected, extract, name) < 2e-5


def test_other_numbers_are_refused(loaded):
    right = comparison.extract_of(loaded)

    def wrong(image):
        return {name: 1.01 * unit for name, unit in right(image).items()}

    with pytest.raises(ArithmeticError, match="onnx.*1.0e-02"):
        comparison.largest_difference(right, wrong, "onnx")
    with pytest.raises(ArithmeticError, match="unit_01.*wanted"):
        comparison.largest_difference(right, lambda image: {}, "onnx")


def test_what_is_unknown_or_not_installed_is_said(monkeypatch):
    with pytest.raises(ValueError, match="tflite.*litert"):
        registry.check(["keras", "tflite"])
    with pytest.raises(ValueError, match="empty"):
        registry.check([])
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"onnxruntime.*mtssl_tf\[onnx\]"):
        registry.check(["savedmodel", "onnx"])
    registry.check(registry.DEFAULT)


def test_the_card_shows_how_each_is_used():
    assert model_card._USES.keys() == registry.FORMATS.keys()


@pytest.mark.parametrize(
    "flags, message",
    [
        (["--out={0}/a", "--format=tflite"], "--format=tflite is unknown"),
        (["--out={0}/no/a"], "there is no folder"),
        (["--out=hf://name"], "hf://USER/NAME"),
        (["--out={0}/a"], "no run directory"),
        ([], "must be named"),
    ],
)
def test_mistakes_are_one_line(tmp_path, capsys, flags, message):
    given = [flag.format(tmp_path) for flag in flags]
    assert export.main(["export", f"--workdir={tmp_path}", *given]) == 2
    error = capsys.readouterr().err
    assert message in error and len(error.splitlines()) == 1
    assert not list(tmp_path.iterdir())


class _Hub(types.ModuleType):
    """Stands for the package `huggingface_hub`, with a folder as the hub."""

    def __init__(self, folder, token="t"):
        super().__init__("huggingface_hub")
        self.folder, self.token = folder, token

    def get_token(self):
        return self.token

    def HfApi(self):
        return self

    def create_repo(self, repo_id, exist_ok):
        assert exist_ok
        (self.folder / repo_id).mkdir(parents=True, exist_ok=True)

    def upload_folder(self, repo_id, folder_path):
        for name in os.listdir(folder_path):
            os.rename(f"{folder_path}/{name}", self.folder / repo_id / name)

    def snapshot_download(self, repo_id):
        if not (self.folder / repo_id).is_dir():
            raise RuntimeError(f"404: no {repo_id}\nmore lines")
        return str(self.folder / repo_id)


def test_a_folder_goes_to_the_hub_and_comes_back(tmp_path, monkeypatch):
    client = _Hub(tmp_path / "hub")
    monkeypatch.setattr(hub, "_package", lambda: client)
    (tmp_path / "export").mkdir()
    (tmp_path / "export" / "README.md").write_text("card")
    hub.check_upload("hf://me/trunk")
    hub.upload(tmp_path / "export", "hf://me/trunk")
    assert (hub.download("hf://me/trunk") / "README.md").read_text() == "card"
    with pytest.raises(FileNotFoundError, match="hf://me/none.*404") as caught:
        pretrained.load_pretrained("hf://me/none")
    assert "\n" not in str(caught.value)
    client.token = None
    with pytest.raises(ValueError, match="no token.*hf auth login"):
        hub.check_upload("hf://me/trunk")


def test_the_hubs_package_is_an_extra(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"mtssl_tf\[hub\]"):
        hub.download("hf://me/trunk")
