"""What the paper found, against hand computation, for and against it."""

import math

import pytest
import written_tables

from tools.reproduction import findings
from tools.reproduction import plan
from tools.reproduction import tables


@pytest.fixture
def options(tmp_path):
    return written_tables.options(tmp_path)


def _save(options, label, values):
    table = tables.TABLES["table3"]
    (row,) = (row for row in table.rows if row.label == label)
    for seed, value in enumerate(values):
        each = plan.cell(table, row, table.columns[0], seed, options.preset)
        written_tables.write_result(options, each, {"recall_at_5": value})


def _found(options):
    (finding,) = findings.found(["table3"], options)
    return finding


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
    found = _found(options)
    assert found.is_held
    assert "so in 1 of 1 comparisons, beyond the seeds' spread in 1;" in (
        found.verdict
    )
    assert found.comparisons == (
        "RP / H over RP, ImageNet recall@5: +3.7 ± 1.4",
    )


def test_a_finding_can_come_out_against_the_paper(options):
    _save(options, "RP", [50.0, 52.0, 51.0])
    _save(options, "RP / H", [40.0, 41.0, 41.0])
    found = _found(options)
    assert found.is_held is False
    assert "so in 0 of 1" in found.verdict
    assert "the other way beyond it in 1." in found.verdict


def test_one_seed_is_never_certain(options):
    _save(options, "RP", [50.0])
    _save(options, "RP / H", [70.0])
    found = _found(options)
    assert found.is_held is None
    assert "so in 1 of 1 comparisons, beyond the seeds' spread in 0" in (
        found.verdict
    )
    assert found.comparisons[0].endswith("+20.0")


def test_seeds_that_only_one_row_has_are_left_out(options):
    _save(options, "RP", [50.0, 52.0])
    _save(options, "RP / H", [51.0, 52.0, 99.0])
    (difference,) = findings.compare(findings.FINDINGS[2], options)
    assert difference.by_seed == (1.0, 0.0)


def test_without_results_it_says_so(options):
    found = _found(options)
    assert found.verdict == "no results yet." and found.is_held is None
    assert not findings.found(["table1"], options)
