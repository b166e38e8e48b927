"""What is measured of a step, small: both sides run, and which costs more."""

import json
import subprocess
import sys

import pytest

_CALLS = {
    "step": "measure_step.measure_step('exemplar', 'tiny', 4, num_rounds=2)",
    "remat": "measure_step.measure_remat('colorization', 'tiny', 8, 2)",
    "feed": "measure_step.measure_feed('exemplar', 'tiny', 4, num_rounds=1)",
    "xla": "measure_step.measure_xla('exemplar', 'tiny', 4, num_rounds=1)",
    "trunk": "measure_step.measure_trunk(2, 64, (1, 1, 2), num_rounds=2)",
}


def _measure(what):
    # A process of its own, as the tool wants it before TensorFlow starts.
    code = (
        "import json\n"
        "from tools import measure_step\n"
        f"print(json.dumps({_CALLS[what]}))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def _check(result):
    assert result.keys() == {"ours", "reference", "ratio", "spread"}
    assert result["reference"] > 0
    assert result["ratio"] == pytest.approx(
        result["ours"] / result["reference"]
    )


@pytest.mark.long
@pytest.mark.parametrize("what", ["step", "trunk", "feed", "xla"])
def test_a_step_beside_its_reference(what):
    result = _measure(what)
    _check(result)
    # A machine with other work makes no step twice as long, nor half.
    assert 0.3 < result["ratio"] < 3


@pytest.mark.long
def test_units_computed_twice_take_less_memory():
    result = _measure("remat")
    assert result.keys() == {"time", "memory"}
    for each in result.values():
        _check(each)
    assert result["memory"]["ratio"] < 1 < result["time"]["ratio"]
