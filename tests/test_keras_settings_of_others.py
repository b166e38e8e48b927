"""Our models under settings of Keras that are the user's own.

Kind of fault: global settings leak in. Back end, data format, float type and
epsilon are Keras's globals; a head was of another size, or crashed, where a
user had set them.
"""

import importlib.util
import json
import os
import pathlib
import subprocess
import sys

import model_numbers
import numpy as np
import pytest
import task_cases

from mtssl_tf import tasks
from mtssl_tf.models import trunk as trunk_lib

_ROOT = pathlib.Path(__file__).resolve().parents[1]
# Each operation is compiled by itself, and most of them run once.
_QUICK = "--xla_backend_optimization_level=0"


_PAPERS = [name for name, kind in tasks.TASKS.items() if kind.abbreviation]


@pytest.fixture(
    scope="module",
    params=[_PAPERS, pytest.param(list(tasks.TASKS), marks=pytest.mark.long)],
    ids=["paper", "all"],
)
def given(request, tmp_path_factory) -> dict[str, np.ndarray]:
    """Inputs of models, made under Keras's defaults."""
    random = np.random.default_rng(1)
    values = {"image": random.normal(0, 50, (2, 97, 96, 3)).astype(np.float32)}
    for name in request.param:
        kind = tasks.TASKS[name]
        task = kind(kind.presets["tiny"])
        facts = task.fit(task_cases.examples(6))
        task.use_facts(facts)
        batch = task_cases.inputs(task, 3)
        values[f"{name}/views"] = batch["views"].numpy()
        values[f"{name}/target"] = batch["target"].numpy()
        values |= {f"{name}/facts/{key}": fact for key, fact in facts.items()}
    path = tmp_path_factory.mktemp("export") / "trunk.keras"
    trunk = trunk_lib.build_trunk(model_numbers.TRUNK)
    model_numbers._filled(trunk).save(path)
    values["export"] = np.array(str(path))
    return values


@pytest.fixture(scope="module")
def expected(given) -> dict[str, np.ndarray]:
    return model_numbers.tensorflow_numbers(given)


def _numbers_elsewhere(
    given, folder: pathlib.Path, kind: str, **environment: str
) -> dict[str, np.ndarray]:
    np.savez(folder / "given.npz", **given)
    subprocess.run(
        [
            sys.executable,
            model_numbers.__file__,
            folder / "given.npz",
            folder / "numbers.npz",
            kind,
        ],
        check=True,
        env=os.environ
        | {"PYTHONPATH": str(_ROOT)}
        # As tests here: more would add up sums in another order.
        | {"TF_NUM_INTRAOP_THREADS": "1"}
        | environment,
    )
    with np.load(folder / "numbers.npz") as stored:
        return {name: stored[name] for name in stored.files}


def _scale(values: np.ndarray) -> float:
    return float(np.nanmax(np.abs(values), initial=0.0))


def test_models_are_the_same_under_other_settings(given, expected, tmp_path):
    settings = {
        "backend": "tensorflow",
        "image_data_format": "channels_first",
        "floatx": "float16",
        "epsilon": 0.1,
    }
    (tmp_path / "keras.json").write_text(json.dumps(settings))
    got = _numbers_elsewhere(
        given,
        tmp_path,
        "tensorflow",
        KERAS_HOME=str(tmp_path),
        TF_USE_LEGACY_KERAS="1",
    )
    assert got.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(
            got[name], value, rtol=1e-6, atol=1e-6 * _scale(value), err_msg=name
        )


@pytest.mark.skipif(
    importlib.util.find_spec("jax") is None, reason="jax is not installed"
)
def test_models_and_losses_run_on_jax(given, expected, tmp_path):
    got = _numbers_elsewhere(
        given, tmp_path, "portable", KERAS_BACKEND="jax", XLA_FLAGS=_QUICK
    )
    assert sum(name.endswith(" loss") for name in got) >= len(_PAPERS)
    for name, value in got.items():
        np.testing.assert_allclose(
            value,
            expected[name],
            rtol=1e-4,
            atol=1e-4 * _scale(expected[name]),
            err_msg=name,
        )
