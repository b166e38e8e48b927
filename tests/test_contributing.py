"""The worked examples of CONTRIBUTING.md work."""

import importlib
import pathlib
import re
import sys

import class_folder_pictures
import numpy as np
import pytest
import task_cases

from evaluation import result
import mtssl_tf
from mtssl_tf import config as config_lib
from mtssl_tf import export
from mtssl_tf import pretrained
from mtssl_tf import tasks
from mtssl_tf.training import step

_PAGE = pathlib.Path(__file__).resolve().parents[1] / "CONTRIBUTING.md"


def _load_example(path, monkeypatch, tmp_path):
    """Returns the module that stands under `<!-- example: PATH -->`."""
    code = re.search(
        rf"<!-- example: {re.escape(path)} -->\n```python\n(.*?)```",
        _PAGE.read_text(),
        re.S,
    )
    name = pathlib.Path(path).stem
    (tmp_path / f"{name}.py").write_text(code[1])
    monkeypatch.syspath_prepend(tmp_path)
    return importlib.import_module(name)


@pytest.fixture
def mirroring(monkeypatch, tmp_path):
    """The example's class, registered while a test runs."""
    module = _load_example("mtssl_tf/tasks/mirroring.py", monkeypatch, tmp_path)
    assert "mirroring" not in tasks.TASKS  # a second one would be in the way
    monkeypatch.setitem(tasks.TASKS, "mirroring", module.Mirroring)
    return module.Mirroring


def test_the_task_trains(mirroring):
    state = task_cases.build_state(task_cases.small_config("mirroring"))
    batch = task_cases.batch(state.task)
    values, gradients = step.compute_gradients(
        state, batch, state.task.config.batch_size
    )
    assert float(step.means(values)["loss"]) == pytest.approx(
        np.log(2), rel=0.05
    )
    assert bool(step.are_finite(values, gradients))
    inputs = task_cases.inputs(state.task)
    prediction = step.predict(state, inputs["views"]).numpy()
    picture = state.task.draw(
        inputs["views"].numpy(), inputs["target"].numpy(), prediction
    )
    assert picture.dtype == np.uint8


@pytest.fixture
def plain_trunk(monkeypatch, tmp_path):
    """`--set` of the example's trunk, which can be imported for a test."""
    _load_example("plain_trunk.py", monkeypatch, tmp_path)
    yield "trunk.family=plain_trunk:build"
    sys.modules.pop("plain_trunk")


@pytest.mark.parametrize("name", task_cases.PAPER_FIRST)
def test_the_trunk_carries_every_task(name, plain_trunk):
    config = config_lib.override(
        task_cases.small_config(name, use_lasso=True), plain_trunk
    )
    state = task_cases.build_state(config)
    values, gradients = step.compute_gradients(
        state, task_cases.batch(state.task), state.task.config.batch_size
    )
    assert bool(step.are_finite(values, gradients))
    assert all(gradient is not None for gradient in gradients)
    assert len(state.model.mix.mixing_weights()) == 3


def test_the_trunk_is_trained_and_exported(plain_trunk, tmp_path):
    pictures = class_folder_pictures.save_class_folders(tmp_path / "data", 3)
    section, family = plain_trunk.split("=")
    mtssl_tf.pretrain(
        tmp_path / "run",
        tasks=["exemplar"],
        images=pictures,
        steps=1,
        settings={
            section: family,
            "trunk.width": 0.125,
            "exemplar.batch_size": 4,
            "train.judge_batches": 1,
        },
    )
    export.export_trunk(tmp_path / "run", tmp_path / "export")
    loaded = [
        pretrained.load_pretrained(str(tmp_path / name), 8)
        for name in ("run", "export")
    ]
    assert loaded[0].digest == loaded[1].digest
    assert loaded[0].trunk.output["unit_03"].shape[-1] == 8
    card = (tmp_path / "export" / export.CARD_FILE).read_text()
    assert "plain_trunk:build" in card


def test_the_evaluation_runs(monkeypatch, tmp_path, capsys):
    module = _load_example("evaluation/retrieval.py", monkeypatch, tmp_path)
    vectors = np.float32([[0, 1], [0.1, 1], [1, 0], [1, 0.2], [-1, -1]])
    # The last one has no neighbour of its class.
    assert module.nearest_is_alike(vectors, np.array([0, 0, 1, 1, 2])) == 80.0
    pictures = class_folder_pictures.save_class_folders(tmp_path / "data", 6)
    arguments = [f"--data={pictures}", f"--out={tmp_path / 'out'}"]
    assert module.main(["retrieval", *arguments]) == 2
    assert "--trunk is required" in capsys.readouterr().err
    assert module.main(["retrieval", "--trunk=random", *arguments]) == 0
    found = result.load_result(tmp_path / "out")
    assert found["protocol_id"].startswith("retrieval-v1-")
    assert found["metrics"]["nearest_is_alike"] > 60.0  # chance is 17
