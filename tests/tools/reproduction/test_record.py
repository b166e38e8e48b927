"""What a reproduction has found, put together from files."""

import json

import pytest
import written_tables

from tools.reproduction import plan
from tools.reproduction import record
from tools.reproduction import tables


def _build(options, parts=tables.PARTS):
    return record.build(parts, options, lambda each: f"not yet {each.kind}")


def test_every_cell_of_a_whole_reproduction_is_filled(tmp_path):
    options = written_tables.options(tmp_path)
    written_tables.write(options)
    found = _build(options)
    cells = [c for t in found.tables for row in t.rows for c in row.cells]
    assert all(cell.numbers for cell in cells)
    letters = {method.letter for method in found.methods}
    assert {n.method for cell in cells for n in cell.numbers} == letters
    # One a protocol and code, whatever trunk and seed.
    protocols = [method.protocol for method in found.methods]
    assert protocols == ["linear-v1", "detection-v1", "depth-v1"]
    assert found.methods[0].command == (
        "python -m evaluation.imagenet_linear --trunk=TRUNK --out=RESULT "
        "--seed=SEED --preset=tiny --train=TRAIN --test=TEST --full"
    )
    assert len(found.trunks) == 13
    assert found.trunks[0].steps == "relative position 200 steps"
    assert "--workdir=RUN" in found.trunks[0].command
    assert str(tmp_path) not in repr(found)  # it is published
    assert "2,310 pictures of 60 classes" in " ".join(found.summary)


def test_figure_3_has_a_point_for_every_snapshot(tmp_path):
    options = written_tables.options(tmp_path)
    written_tables.write(options)
    found = _build(options)
    (chart,) = (c for c in found.charts if c.title.startswith("Figure 3"))
    assert len(chart.lines) == 9
    for line in chart.lines:
        hours = [x for x, _ in line.points]
        assert hours == pytest.approx([1, 2, 3, 4, 5, 6, 7])
    # The last snapshot is the end of the run, which Table 2 has as well.
    table = next(t for t in found.tables if t.title.startswith("Combinations"))
    (row,) = (row for row in table.rows if row.label == "RP")
    assert chart.lines[0].label == "RP"
    by_seed = row.cells[0].numbers[0].by_seed
    assert chart.lines[0].points[-1][1] == pytest.approx(by_seed[0])


def test_losses_are_drawn_a_task_over_the_trunks_that_have_it(tmp_path):
    options = written_tables.options(tmp_path)
    written_tables.write(options, ["table3"])
    charts = {
        chart.title: chart for chart in _build(options, ["table3"]).charts
    }
    assert set(charts) == {"Relative position: loss", "Colorization: loss"}
    labels = [line.label for line in charts["Colorization: loss"].lines]
    assert labels == ["RP+Col", "RP+Col / H"]
    assert charts["Colorization: loss"].lines[0].points == (
        (1.0, 1.8),
        (2.0, 1.2),
    )
    assert charts["Colorization: loss"].guess == 2.0


def test_pictures_are_of_the_four_and_of_the_mix(tmp_path):
    options = written_tables.options(tmp_path)
    written_tables.write(options, ["table4"])
    titles = [picture.title for picture in _build(options, ["table4"]).pictures]
    assert titles[0].startswith("Figure 4")
    assert titles[1:] == [
        "Relative position",
        "Colorization",
        "Exemplar",
        "Motion segmentation",
    ]
    assert (tmp_path / "figure4.png").is_file()


def test_a_cell_joins_only_results_of_one_protocol_and_code(tmp_path):
    """Kind: numbers that are averaged though something else made them."""
    options = written_tables.options(tmp_path)
    table = tables.TABLES["table3"]
    row, column = table.rows[1], table.columns[0]
    for seed, (value, code) in enumerate(
        [(60.0, "one"), (62.0, "one"), (70.0, "two")]
    ):
        each = plan.cell(table, row, column, seed, "tiny")
        written_tables.write_result(options, each, {column.metric: value}, code)
    found = _build(options, ["table3"])
    cell, *others = found.tables[0].rows[1].cells
    assert [number.by_seed for number in cell.numbers] == [
        (60.0, 62.0),
        (70.0,),
    ]
    assert [number.method for number in cell.numbers] == ["a", "b"]
    assert [method.code for method in found.methods] == ["one", "two"]
    assert [each.missing for each in others] == [
        "not yet detection",
        "not yet depth",
    ]
    assert "2 of" not in found.summary[0] and "3 of 20" in " ".join(
        found.summary
    )


def test_a_metric_that_is_not_finite_is_said_and_not_averaged(tmp_path):
    # result.json has null for it, which ended the command in an average.
    options = written_tables.options(tmp_path)
    written_tables.write(options, ["table3"])
    for path in options.out.glob("results/RP/*/linear/result.json"):
        stored = json.loads(path.read_text())
        stored["metrics"] = dict.fromkeys(stored["metrics"])
        path.write_text(json.dumps(stored))
    (table,) = _build(options, ["table3"]).tables
    cells = [row.cells[0] for row in table.rows if row.label == "RP"]
    assert [cell.missing for cell in cells] == ["not a finite number"]
    assert all(cell.numbers for row in table.rows[1:] for cell in row.cells)
