"""What the paper found, against hand computation, for and against it."""

import json
import math

import pytest

from tools.reproduction import findings
from tools.reproduction import plan
from tools.reproduction import tables


@pytest.fixture
def options(tmp_path):
    return plan.Options(tmp_path, "tiny", 1.0, seeds=3)


def _save(options, label, values, code="one"):
    table = tables.TABLES["table3"]
    (row,) = (row for row in table.rows if row.label == label)
    for seed, value in enumerate(values):
        each = plan.cell(table, row, table.columns[0], seed, options.preset)
        folder = options.out / each.folder()
        folder.mkdir(parents=True)
        record = {"protocol_id": "p", "code": code}
        record["metrics"] = {"recall_at_5": value}
        (folder / "result.json").write_text(json.dumps(record))


def test_every_finding_is_about_rows_that_are_there():
    for finding in findings.FINDINGS:
        labels = {row.label for row in tables.TABLES[finding.table].rows}
        assert {label for pair in finding.pairs for label in pair} <= labels


def test_an_interval_by_hand(options):
    _save(options, "RP", [50.0, 52.0, 51.0])
    _save(options, "RP / H", [53.0, 56.0, 55.0])
    (difference,) = findings.compare(findings.FINDINGS[2], options)
    assert difference.by_seed == (3.0, 4.0, 4.0)
    # Mean 11/3, deviation sqrt(1/3); t of two degrees of freedom is 4.3027.
    expected = 4.3027 * math.sqrt(1 / 3) / math.sqrt(3)
    assert difference.half_width() == pytest.approx(expected, rel=1e-4)
    text = findings.as_markdown(["table3"], options)
    assert "held in 1 of 1 comparisons; beyond the seeds' spread in 1, and" in (
        text
    )
    assert "RP / H over RP, ImageNet recall@5: +3.7 ± 1.4" in text


def test_a_finding_can_come_out_against_the_paper(options):
    _save(options, "RP", [50.0, 52.0, 51.0])
    _save(options, "RP / H", [40.0, 41.0, 41.0])
    text = findings.as_markdown(["table3"], options)
    assert (
        "held in 0 of 1 comparisons; beyond the seeds' spread in 0, and "
        in (text)
    )
    assert "against it in 1" in text


def test_one_seed_is_never_certain(options):
    _save(options, "RP", [50.0])
    _save(options, "RP / H", [70.0])
    text = findings.as_markdown(["table3"], options)
    assert "held in 1 of 1 comparisons; beyond the seeds' spread in 0" in text
    assert "+20.0\n" in text


def test_seeds_that_only_one_row_has_are_left_out(options):
    _save(options, "RP", [50.0, 52.0])
    _save(options, "RP / H", [51.0, 52.0, 99.0])
    (difference,) = findings.compare(findings.FINDINGS[2], options)
    assert difference.by_seed == (1.0, 0.0)


def test_without_results_it_says_so(options):
    text = findings.as_markdown(["table3"], options)
    assert "no results yet." in text
    assert not findings.as_markdown(["table1"], options)
