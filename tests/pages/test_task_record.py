"""Lines as they should be, and all others."""

import json

import pytest
import written_run

from mtssl_tf.pages import task_record


def test_lines_become_points():
    records = task_record.load_task_records(written_run.lines())
    record = records[written_run.TASK]
    assert [(p.step, p.loss) for p in record.training] == [
        (10, 2.0),
        (20, 1.5),
        (30, 1.0),
    ]
    assert [p.loss for p in record.held_out] == [1.8, 1.2]
    assert record.held_out[-1].metrics == {"accuracy": 0.25}
    assert record.chance == 2.0 and record.seconds == 180.0


@pytest.mark.parametrize(
    "broken",
    [
        {"task": 5},
        {"task": None},
        {"split": "probe"},
        {"loss": None},
        {"loss": "low"},
        {"loss": json.loads("NaN")},
        {"loss": True},
        {"loss": 1e300},
        {"chance": 1e-300},
        {"chance": 0.0},
        {"chance": [2.0]},
    ],
)
def test_what_is_no_record_is_left_out(broken):
    lines = [*written_run.lines(), written_run.line(40, "train", 9.0) | broken]
    records = task_record.load_task_records(lines)
    assert list(records) == [written_run.TASK]
    assert len(records[written_run.TASK].training) == 3


def test_metrics_that_are_no_numbers_are_left_out():
    line = written_run.line(10, "train", 1.0, metrics={"a": None, "b": 2})
    (point,) = task_record.load_task_records([line])[written_run.TASK].training
    assert point.metrics == {"b": 2}
    line["metrics"], line["task_step"], line["metrics_chance"] = 3, "x", "y"
    (point,) = task_record.load_task_records([line])[written_run.TASK].training
    assert point.metrics == {}
