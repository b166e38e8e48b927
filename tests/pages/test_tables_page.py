"""The page about the paper's tables, and the same in Markdown."""

import dataclasses
import json

import page_checker
import pytest

from mtssl_tf import report
from mtssl_tf.pages import lines
from mtssl_tf.pages import tables_page
from mtssl_tf.pages import tables_record as record_lib

_NUMBER = record_lib.Number((60.0, 62.0), "a")
_OTHER = record_lib.Number((70.0,), "b")


def _record(**changes):
    cells = (
        record_lib.Cell(59.21, (_NUMBER, _OTHER), ""),
        record_lib.Cell(None, (), "without --voc <b>"),
    )
    values = {
        "summary": ("What was run.", "What it tells."),
        "tables": (
            record_lib.Table(
                "Tasks", ("top-1", "mAP"), (record_lib.Row("RP / H", cells),)
            ),
        ),
        "charts": (
            record_lib.Chart(
                "Loss",
                "Held out.",
                "hours",
                (record_lib.Line("RP", ((1.0, 2.0), (4.0, 1.0))),),
                2.5,
            ),
        ),
        "findings": (
            record_lib.Finding("Tasks help", "in 2 of 3.", None, ("RP: +1",)),
        ),
        "pictures": (record_lib.Picture("Boxes", "found", "gone/boxes.png"),),
        "methods": (
            record_lib.Method("a", "p-v1", "c0de", "abc", "python -m one"),
            record_lib.Method("b", "p-v1", "beef", "", "python -m two"),
        ),
        "trunks": (record_lib.TrunkMade("RP", "9 steps", "python -m three"),),
    }
    return record_lib.TablesRecord(**values | changes)


def test_it_is_read_as_it_was_written(tmp_path):
    record_lib.save(_record(), tmp_path)
    assert record_lib.load(tmp_path) == _record()


@pytest.mark.parametrize(
    "key, value, message",
    [
        ("tables", 3, "tables must be"),
        ("colour", [], "colour"),
        ("summary", None, "summary"),
    ],
)
def test_a_damaged_file_is_one_line(tmp_path, key, value, message):
    stored = dataclasses.asdict(_record()) | {key: value}
    (tmp_path / record_lib.FILE).write_text(json.dumps(stored))
    with pytest.raises(ValueError, match=message) as caught:
        record_lib.load(tmp_path)
    assert record_lib.FILE in str(caught.value)
    assert "tools.reproduce" in str(caught.value)


def _short_row(stored):
    stored["tables"][0]["rows"][0]["cells"].pop()


def _no_seed(stored):
    stored["tables"][0]["rows"][0]["cells"][0]["numbers"][1]["by_seed"] = []


def _no_line(stored):
    stored["charts"][0]["lines"] = []


def _no_point(stored):
    stored["charts"][0]["lines"][0]["points"] = []


def _long_point(stored):
    stored["charts"][0]["lines"][0]["points"][0] = [1.0, 2.0, 3.0]


@pytest.mark.parametrize(
    "damage, message",
    [
        (_short_row, "row 'RP / H' of table 'Tasks' has 1 cells for 2"),
        (_no_seed, "row 'RP / H'.*by_seed is empty"),
        (_no_line, "chart 'Loss' has no lines"),
        (_no_point, "chart 'Loss' has no lines"),
        (_long_point, "points must be"),
    ],
)
def test_lists_of_a_wrong_length_are_damage(tmp_path, damage, message):
    # A kind of fault: every value is of its type, and they do not fit.
    stored = json.loads(json.dumps(dataclasses.asdict(_record())))
    damage(stored)
    (tmp_path / record_lib.FILE).write_text(json.dumps(stored))
    with pytest.raises(ValueError, match=message) as caught:
        record_lib.load(tmp_path)
    assert record_lib.FILE in str(caught.value)


def test_a_command_writes_the_page_and_the_same_in_markdown(tmp_path):
    record_lib.save(_record(), tmp_path)
    said = report.write_report(tmp_path)
    assert "Tasks help: open; in 2 of 3." in said and "report.html" in said
    text = (tmp_path / "report.html").read_text()
    page_checker.PageChecker(text).check_alone()
    for part in ("61.0 ± 1.4 (2)", "70.0 (1)", "59.21", "c0de", "not known"):
        assert part in text
    assert "missing: without --voc &lt;b&gt;" in text and "<b>RP" not in text
    assert "data:image" not in text  # the picture is gone
    markdown = (tmp_path / "report.md").read_text()
    assert markdown.startswith("What was run.\n")
    assert (
        "| RP / H | 59.21 | 61.0 ± 1.4 (2) a; 70.0 (1) b | "
        "missing: without --voc <b> |"
    ) in markdown
    # A column of which the paper has no number is no pair.
    assert "| pre-training | top-1: paper | ours | mAP |" in markdown
    assert "    python -m three" in markdown and "    python -m one" in markdown


def test_a_page_before_the_first_result(tmp_path):
    empty = _record(
        tables=(), charts=(), findings=(), pictures=(), methods=(), trunks=()
    )
    record_lib.save(empty, tmp_path)
    text = tables_page.as_html(tables_page.build(tmp_path))
    page_checker.PageChecker(text).check_alone()


def test_places_are_those_of_the_axes():
    (chart,) = _record().charts
    drawn = lines.draw(chart)
    # From 1 to 2.5 with 6 % of room: 0.91 to 2.59, over 204 units from 216 up;
    # hours from 0 to 4 over 352 units from 44.
    (line,) = drawn.lines
    assert line.points == (
        f"132,{216 - 204 * 1.09 / 1.68:.1f} 396,{216 - 204 * 0.09 / 1.68:.1f}"
    )
    assert drawn.guess == pytest.approx(216 - 204 * 1.59 / 1.68, abs=0.06)
    assert [tick.text for tick in drawn.x_ticks] == ["0", "1", "2", "3", "4"]


def test_one_value_is_drawn():
    (chart,) = _record().charts
    point = record_lib.Line("RP", ((0.0, 2.0),))
    drawn = lines.draw(dataclasses.replace(chart, lines=(point,), guess=None))
    assert drawn.guess is None and drawn.lines[0].dots
