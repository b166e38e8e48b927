"""Tests for the measurement on Keras's JAX back end, here on a CPU."""

import importlib.util
import json
import subprocess
import sys

import pytest

from mtssl_tf import recipes


@pytest.mark.long
@pytest.mark.skipif(
    importlib.util.find_spec("jax") is None,
    reason="JAX is not installed: pip install -e '.[test]'",
)
def test_every_task_trains_through_jax(tmp_path):
    batches, found = tmp_path / "batches.npz", tmp_path / "found.json"
    for options in (
        [f"--save={batches}"],
        [f"--load={batches}", f"--json={found}", "--batch_size=2"],
    ):
        subprocess.run(
            [
                *(sys.executable, "-m", "tools.measure_gpu"),
                *("--preset=tiny", "--precision=float32", *options),
            ],
            check=True,
        )
    figures = json.loads(found.read_text())
    for name in recipes.default_tasks():
        own = figures[name]
        assert own["examples_per_s"] == pytest.approx(2 / own["seconds"])
        assert own["tflops"] > 0
        assert own["over_reference"] == pytest.approx(
            own["tflops"] / figures["reference"]["tflops"]
        )
