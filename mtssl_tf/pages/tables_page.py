"""The page about the paper's tables, and the same in Markdown."""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses
import os
import pathlib
import statistics

from mtssl_tf.files import names as names_lib
from mtssl_tf.pages import axes
from mtssl_tf.pages import lines as lines_lib
from mtssl_tf.pages import page
from mtssl_tf.pages import tables_record

_TEMPLATE = "tables.html"
_TONES = {True: "good", False: "bad", None: "part"}
_WORDS = {True: "held", False: "did not hold", None: "open"}


@dataclasses.dataclass(frozen=True)
class TablesPage:
    """All that the page says.

    Attributes:
        folder: of `tools.reproduce`.
        record: what it found.
        charts: of the record, each with its drawing.
        pictures: of the record that are there.
    """

    folder: pathlib.Path
    record: tables_record.TablesRecord
    charts: tuple[tuple[tables_record.Chart, lines_lib.Drawing], ...]
    pictures: tuple[tuple[tables_record.Picture, pathlib.Path], ...]

    @property
    def name(self) -> str:
        """The folder's, for titles."""
        return names_lib.shown(self.folder.absolute().name)


def build(folder: str | os.PathLike) -> TablesPage:
    """Reads what `tools.reproduce` found.

    Raises:
        OSError: it cannot be read.
        ValueError: it is damaged.
    """
    root = pathlib.Path(folder)
    record = tables_record.load(root)
    return TablesPage(
        root,
        record,
        tuple((chart, lines_lib.draw(chart)) for chart in record.charts),
        tuple(
            (picture, root / picture.path)
            for picture in record.pictures
            if page.is_whole_png(root / picture.path)
        ),
    )


def as_html(built: TablesPage) -> str:
    """Returns the page.

    Raises:
        OSError: a picture cannot be read.
    """
    return page.render(
        _TEMPLATE,
        page=built,
        record=built.record,
        chart=axes,
        number=shown,
        beside_paper=beside_paper,
        tones=_TONES,
        words=_WORDS,
    )


def as_markdown(record: tables_record.TablesRecord) -> str:
    """Returns the same without curves and pictures."""
    parts = [
        "\n".join(record.summary),
        *map(_table_as_markdown, record.tables),
        _findings_as_markdown(record.findings),
        _methods_as_markdown(record),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def as_text(record: tables_record.TablesRecord) -> str:
    """Returns the summary and the findings, for a terminal."""
    lines = list(record.summary)
    if record.findings:
        lines += ["", "What the paper found"]
    for finding in record.findings:
        lines.append(
            f"  {finding.text}: {_WORDS[finding.is_held]}; {finding.verdict}"
        )
    return "\n".join(lines)


def shown(number: tables_record.Number) -> str:
    """Returns mean, standard deviation and how many seeds, as in a cell."""
    text = f"{statistics.mean(number.by_seed):.1f}"
    if len(number.by_seed) > 1:
        text += f" ± {statistics.stdev(number.by_seed):.1f}"
    return f"{text} ({len(number.by_seed)})"


def beside_paper(table: tables_record.Table) -> list[int]:
    """Returns the columns in which the paper has numbers."""
    return [
        number
        for number in range(len(table.columns))
        if any(row.cells[number].paper is not None for row in table.rows)
    ]


def _table_as_markdown(table: tables_record.Table) -> str:
    titles, beside = [], beside_paper(table)
    for number, title in enumerate(table.columns):
        has_both = number in beside
        titles += [f"{title}: paper", "ours"] if has_both else [title]
    lines = [
        f"## {table.title}",
        "",
        f"| pre-training | {' | '.join(titles)} |",
        f"|---|{'---:|' * len(titles)}",
    ]
    for row in table.rows:
        cells = [row.label]
        for number, cell in enumerate(row.cells):
            if number in beside:
                cells.append("" if cell.paper is None else f"{cell.paper:g}")
            cells.append(_ours_as_markdown(cell))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _ours_as_markdown(cell: tables_record.Cell) -> str:
    if not cell.numbers:
        return f"missing: {cell.missing}"
    return "; ".join(
        f"{shown(number)} {number.method}" for number in cell.numbers
    )


def _findings_as_markdown(
    findings: Sequence[tables_record.Finding],
) -> str:
    if not findings:
        return ""
    lines = ["## What the paper found, here", ""]
    for finding in findings:
        word = _WORDS[finding.is_held]
        lines.append(f"- {finding.text}: {word}; {finding.verdict}")
        lines += [f"  - {each}" for each in finding.comparisons]
    return "\n".join(lines)


def _methods_as_markdown(record: tables_record.TablesRecord) -> str:
    lines = ["## How it was made"]
    for trunk in record.trunks:
        steps = f" ({trunk.steps})" if trunk.steps else ""
        lines.append(f"{trunk.label}{steps}:\n\n    {trunk.command}")
    for method in record.methods:
        lines.append(
            f"{method.letter}: protocol `{method.protocol}`, code "
            f"`{method.code}`, commit {method.commit or 'not known'}:"
            f"\n\n    {method.command}"
        )
    return "\n\n".join(lines)
