"""The worked example of CONTRIBUTING.md is a task like the others."""

import importlib
import pathlib
import re

import numpy as np
import pytest
import task_cases

from mtssl_tf import tasks
from mtssl_tf.training import step

_PAGE = pathlib.Path(__file__).resolve().parents[1] / "CONTRIBUTING.md"


@pytest.fixture
def rotation(monkeypatch, tmp_path):
    """The example's class, registered while a test runs."""
    code = re.search(
        r"tasks/rotation.py -->\n```python\n(.*?)```", _PAGE.read_text(), re.S
    )
    (tmp_path / "rotation.py").write_text(code[1])
    monkeypatch.syspath_prepend(tmp_path)
    module = importlib.import_module("rotation")
    monkeypatch.setitem(tasks.TASKS, "rotation", module.Rotation)
    return module.Rotation


def test_the_example_trains(rotation):
    state = task_cases.build_state(task_cases.small_config("rotation"))
    batch = task_cases.batch(state.task)
    values, gradients = step.compute_gradients(
        state, batch, state.task.config.batch_size
    )
    assert float(values["loss"]) == pytest.approx(np.log(4), rel=0.05)
    assert bool(step.are_finite(values, gradients))
    prediction = step.predict(state, batch["views"]).numpy()
    picture = state.task.draw(
        batch["views"].numpy(), batch["target"].numpy(), prediction
    )
    assert picture.dtype == np.uint8
