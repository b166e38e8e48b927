"""The benchmark's books; what it measures is tested where it is measured."""

import importlib.util
import json

import pytest

from tools import benchmark
from tools import in_turn


def test_things_are_measured_in_turns():
    calls = []

    def say(name, values):
        calls.append(name)
        return next(values)

    ours, reference = iter([2.0, 4.0, 3.0]), iter([1.0, 1.0, 2.0])
    found = in_turn.compare(
        lambda: say("ours", ours), lambda: say("reference", reference), 3
    )
    assert calls == ["reference", "ours"] * 3
    # Medians 3 and 1; single turns 2, 4 and 1.5.
    assert found == {"ours": 3, "reference": 1, "ratio": 3, "spread": 1.25}


def _figure(ratio, spread=0.1):
    return {"ours": ratio, "reference": 1.0, "ratio": ratio, "spread": spread}


def test_what_moved_is_beyond_both_spreads():
    old = {"a": _figure(1.0), "b": _figure(1.0), "gone": _figure(1.0)}
    new = {"a": _figure(1.19), "b": _figure(0.79), "new": _figure(1.0)}
    assert benchmark.moved(old, new) == {"b": "1.00 -> 0.79"}


def _double(number):
    return {f"double/{number}": _figure(2.0 * number)}


def test_each_measurement_has_a_process_and_is_kept(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(
        benchmark, "plan", lambda *_: [(_double, (1,)), (_double, (2,))]
    )
    old = tmp_path / "old.json"
    old.write_text(json.dumps({"double/2": _figure(3.0)}))
    new = tmp_path / "new.json"
    arguments = ["input", f"--json={new}", f"--compare={old}"]
    assert benchmark.main(["benchmark", *arguments]) == 0
    assert json.loads(new.read_text())["double/2"]["ratio"] == 4.0
    out = capsys.readouterr().out
    assert "| double/1 | 2 | 1 | 2.00 | 0.10 |" in out
    assert "double/2 moved beyond its spread: 3.00 -> 4.00." in out


def test_the_plan_covers_every_group_and_task():
    everything = benchmark.plan(benchmark.GROUPS)
    names = [function.__name__ for function, _ in everything]
    assert names.count("step_over_bare") == 4
    assert len(names) == 8


@pytest.mark.parametrize(
    "arguments, text",
    [
        ([], "Expected one of input, step, memory, startup or all; got noth"),
        (["inputs"], "got inputs"),
        (["input", "--compare={}"], "is not what --json wrote"),
    ],
)
def test_mistakes_are_answered_in_one_line(tmp_path, capsys, arguments, text):
    damaged = tmp_path / "old.json"
    damaged.write_text("{")
    arguments = [each.format(damaged) for each in arguments]
    assert benchmark.main(["benchmark", *arguments]) == 2
    error = capsys.readouterr().err.strip()
    assert text in error and "\n" not in error


def test_a_missing_reference_names_the_extra(monkeypatch, capsys):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert benchmark.main(["benchmark", "step"]) == 2
    assert "pip install -e '.[test]'" in capsys.readouterr().err
