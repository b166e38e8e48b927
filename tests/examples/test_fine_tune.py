"""The example that fine-tunes, for a few steps on a few real pictures."""

import importlib.util
import json
import pathlib
import shutil

import numpy as np
import pytest
import task_cases

from mtssl_tf import pretrained
from mtssl_tf.models import rgb_trunk

_ROOT = pathlib.Path(__file__).resolve().parents[2]


@pytest.mark.long
def test_it_trains_both_and_says_how_well(shared_data, tmp_path, monkeypatch):
    spec = importlib.util.spec_from_file_location(
        "fine_tune", _ROOT / "examples" / "fine_tune.py"
    )
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    for name in sorted(
        p.name for p in (shared_data / "caltech/train").iterdir()
    )[:2]:
        (tmp_path / "few" / name).mkdir(parents=True)
        for path in sorted((shared_data / "caltech/train" / name).iterdir())[
            :4
        ]:
            shutil.copy(path, tmp_path / "few" / name)
    loaded = pretrained.load_pretrained(
        "random", random_config=task_cases.SMALL_TRUNK
    )
    trunk = rgb_trunk.build_rgb_trunk(loaded.trunk, loaded.contract)
    seen = []
    fine_tune = example.fine_tune

    def note(model, *rest):
        seen.append(model.get_weights())
        return fine_tune(model, *rest)

    monkeypatch.setattr(example, "fine_tune", note)
    monkeypatch.setattr(example.mtssl_tf, "load_trunk", lambda path: trunk)
    few = f"{tmp_path / 'few'}"
    found = example.main(
        [
            *("--trunk=t", f"--train={few}", f"--test={few}", "--epochs=2"),
            f"--json={tmp_path / 'out.json'}",
        ]
    )
    assert found.keys() == {"trained", "random"}
    assert all(0 <= value <= 100 for (value,) in found.values())
    assert json.loads((tmp_path / "out.json").read_text()) == found
    # The second has weights of its own, not those that the first has learned.
    trained, random = seen
    assert any((one != two).any() for one, two in zip(trained, random))
    assert all(np.isfinite(weight).all() for weight in random)
