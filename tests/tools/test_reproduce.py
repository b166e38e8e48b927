"""The command for the paper's tables: its plan, its table, its bad input."""

import json
import subprocess
import sys

import pytest

from tools import reproduce
from tools.reproduction import markdown
from tools.reproduction import plan
from tools.reproduction import tables


def _call(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "tools.reproduce", *arguments],
        capture_output=True,
        text=True,
    )


def _save(folder, metrics, code="one"):
    folder.mkdir(parents=True)
    record = {"protocol_id": "p-v1", "code": code, "metrics": metrics}
    (folder / "result.json").write_text(json.dumps(record))


def test_a_dry_run_says_what_it_costs_and_does_nothing(tmp_path):
    out = tmp_path / "out"
    done = _call(
        f"--out={out}",
        "--images=pictures",
        "--train=train",
        "--test=test",
        "--only=table3",
        "--seeds=2",
        "--gpu_hours=0.5",
        "--dry_run",
    )
    assert done.returncode == 0, done.stderr
    assert "8 trunks, 0.5 GPU hours each: 4 GPU hours." in done.stdout
    assert "linear 8." in done.stdout
    assert "4 evaluations are left out without --voc." in done.stdout
    assert "runs/RP+Col-H/seed_1" in done.stdout
    assert not out.exists()


@pytest.mark.parametrize(
    "arguments, message",
    [
        ([], "--out is required"),
        (["--out=x"], "Nothing can be had without --train, --test"),
        (
            ["--out=x", "--train=a", "--test=b", "--images=c", "--seeds=1"]
            + ["--budget_hours=1.2", "--gpu_hours=0.5"],
            "over --budget_hours=1.2.",
        ),
        (["--out=x", "--only=table9"], "table9"),
    ],
)
def test_mistakes_are_one_line(arguments, message):
    done = _call(*arguments)
    assert done.returncode == 2
    (line,) = done.stderr.strip().splitlines()
    assert message in line


def test_a_budget_says_what_would_fit():
    values = reproduce.define_flags()
    values(
        ["", "--out=x", "--images=a", "--train=b", "--test=c", "--seeds=1"]
        + ["--gpu_hours=1"]
    )
    work = reproduce._plan(values)
    with pytest.raises(ValueError, match="--only=table1 takes 4. Fewer"):
        reproduce._check_budget(work, 4.0)
    reproduce._check_budget(work, work.hours())


def test_a_cell_joins_only_results_of_one_protocol_and_code(tmp_path):
    options = plan.Options(tmp_path, "tiny", 1.0, seeds=3)
    table = tables.TABLES["table3"]
    row, column = table.rows[1], table.columns[0]
    for seed, (value, code) in enumerate(
        [(60.0, "one"), (62.0, "one"), (70.0, "two")]
    ):
        each = plan.cell(table, row, column, seed, "tiny")
        _save(tmp_path / each.folder(), {column.metric: value}, code)
    text = markdown.as_markdown(["table3"], options, lambda each: "not yet")
    (line,) = (line for line in text.splitlines() if "| RP / H |" in line)
    assert "| 62.33 | 61.0 ± 1.4 (2); by other code or protocol 70.0 (1) |" in (
        line
    )
    assert line.count("missing: not yet") == 2
