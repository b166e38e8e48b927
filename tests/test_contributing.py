"""The worked examples of CONTRIBUTING.md work."""

import importlib
import pathlib
import re

import class_folder_pictures
import numpy as np
import pytest
import task_cases

from evaluation import result
from mtssl_tf import tasks
from mtssl_tf.models import lasso_mix
from mtssl_tf.training import batches
from mtssl_tf.training import rmsprop
from mtssl_tf.training import step
from mtssl_tf.training import task_model

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
    assert float(values["loss"]) == pytest.approx(np.log(2), rel=0.05)
    assert bool(step.are_finite(values, gradients))
    inputs = task_cases.inputs(state.task)
    prediction = step.predict(state, inputs["views"]).numpy()
    picture = state.task.draw(
        inputs["views"].numpy(), inputs["target"].numpy(), prediction
    )
    assert picture.dtype == np.uint8


@pytest.mark.parametrize("name", tasks.TASKS)
def test_the_trunk_carries_every_task(name, monkeypatch, tmp_path):
    module = _load_example("plain_trunk.py", monkeypatch, tmp_path)
    config = task_cases.small_config(name)
    task = tasks.find_task(name)(config.tasks[name], config.contract)
    trunk = module.build_plain_trunk(3, 16, task.config.output_stride)
    model = task_model.build_task_model(
        trunk,
        task,
        batches.views_shape(task)[1:],
        lasso_mix.LassoMix(name="mix"),
    )
    variables = list(trunk.trainable_variables)
    variables += model.head.trainable_variables
    optimizer = rmsprop.build_rmsprop(variables, 1e-3, 0.9, 0.9, 1e-8)
    state = step.TaskState(task, model, optimizer, variables)
    values, gradients = step.compute_gradients(
        state, task_cases.batch(task), task.config.batch_size
    )
    assert bool(step.are_finite(values, gradients))
    assert all(gradient is not None for gradient in gradients)


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
