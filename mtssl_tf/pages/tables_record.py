"""What a reproduction of the paper's tables has found so far, as a file.

`tools.reproduce` writes it beside its runs; the page about it reads nothing
else but the pictures that it names.
"""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import typing
from typing import Any

from mtssl_tf import settings
from mtssl_tf.files import json_file
from mtssl_tf.process import atomic_file

FILE = "tables.json"
_REMEDY = "Run tools.reproduce again: it writes the file anew."


@dataclasses.dataclass(frozen=True)
class Number:
    """Results of one protocol and one version of the code.

    Attributes:
        by_seed: percent.
        method: letter of the `Method` that made them.
    """

    by_seed: tuple[float, ...]
    method: str


@dataclasses.dataclass(frozen=True)
class Cell:
    """A number of the paper, and ours.

    Attributes:
        paper: the paper's; None where it has none.
        numbers: ours; several are of protocols or code that nobody may join.
        missing: why there is none.
    """

    paper: float | None
    numbers: tuple[Number, ...]
    missing: str


@dataclasses.dataclass(frozen=True)
class Row:
    """A trunk's cells."""

    label: str
    cells: tuple[Cell, ...]


@dataclasses.dataclass(frozen=True)
class Table:
    """A table of the paper."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]


@dataclasses.dataclass(frozen=True)
class Line:
    """Points (x, y) of one name, from the left."""

    label: str
    points: tuple[tuple[float, float], ...]


@dataclasses.dataclass(frozen=True)
class Chart:
    """Lines over one axis.

    Attributes:
        title: of it.
        about: how to read it.
        x_title: what lies along the foot.
        lines: at least one, of at least one point.
        guess: what a blind guess has; None where nobody can say.
    """

    title: str
    about: str
    x_title: str
    lines: tuple[Line, ...]
    guess: float | None


@dataclasses.dataclass(frozen=True)
class Finding:
    """A sentence of the paper, and what speaks for it here.

    Attributes:
        text: the sentence.
        verdict: in how many comparisons it held.
        is_held: None where that is open.
        comparisons: each in words.
    """

    text: str
    verdict: str
    is_held: bool | None
    comparisons: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Picture:
    """A PNG file below the folder, and what it shows."""

    title: str
    about: str
    path: str


@dataclasses.dataclass(frozen=True)
class Method:
    """How numbers were made.

    Attributes:
        letter: that stands beside them.
        protocol: its id.
        code: digest of the code.
        commit: '' where it is not known.
        command: with capitals for what differs.
    """

    letter: str
    protocol: str
    code: str
    commit: str
    command: str


@dataclasses.dataclass(frozen=True)
class TrunkMade:
    """How a trunk was made.

    Attributes:
        label: of its rows.
        steps: of each task, in words; '' before its run.
        command: with capitals for what differs.
    """

    label: str
    steps: str
    command: str


@dataclasses.dataclass(frozen=True)
class TablesRecord:
    """All of it.

    Attributes:
        summary: what was run and what that can tell, in sentences.
        tables: of the paper and of Figure 3, as far as they were asked for.
        charts: Figure 3, and held-out losses in training.
        findings: of the paper.
        pictures: what trunks predict, and Figure 4.
        methods: that numbers name.
        trunks: that rows name.
    """

    summary: tuple[str, ...]
    tables: tuple[Table, ...]
    charts: tuple[Chart, ...]
    findings: tuple[Finding, ...]
    pictures: tuple[Picture, ...]
    methods: tuple[Method, ...]
    trunks: tuple[TrunkMade, ...]


def save(record: TablesRecord, folder: str | os.PathLike) -> None:
    """Writes the file into a folder."""
    text = json.dumps(dataclasses.asdict(record), indent=1)
    atomic_file.write_text(pathlib.Path(folder, FILE), text + "\n")


def load(folder: str | os.PathLike) -> TablesRecord:
    """Reads the file in a folder.

    Raises:
        OSError: it cannot be read.
        ValueError: it is damaged.
    """
    path = pathlib.Path(folder, FILE)
    stored = json_file.load_object(path, _REMEDY)
    try:
        record = _from_plain(TablesRecord, stored)
        settings.check(record)
        _check_shape(record)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path} is damaged: {error}. {_REMEDY}") from error
    return record


def _check_shape(record: TablesRecord) -> None:
    """Raises ValueError where lists are not as long as their readers need."""
    for table in record.tables:
        for row in table.rows:
            if len(row.cells) != len(table.columns):
                raise ValueError(
                    f"row {row.label!r} of table {table.title!r} has "
                    f"{len(row.cells)} cells for {len(table.columns)} columns"
                )
            if not all(n.by_seed for cell in row.cells for n in cell.numbers):
                raise ValueError(
                    f"row {row.label!r} of table {table.title!r} has a number "
                    "whose by_seed is empty"
                )
    for chart in record.charts:
        points = [line.points for line in chart.lines]
        if not points or not all(points):
            raise ValueError(f"chart {chart.title!r} has no lines of points")


def _from_plain(kind: Any, value: Any) -> Any:
    """Returns dataclasses for JSON's objects, and tuples for its lists."""
    if isinstance(kind, type) and isinstance(value, dict):
        kinds = typing.get_type_hints(kind)
        unknown = value.keys() - kinds.keys()
        if unknown:
            raise ValueError(f"{kind.__name__} has no {sorted(unknown)}")
        return typing.cast(Any, kind)(
            **{
                key: _from_plain(kinds[key], each)
                for key, each in value.items()
            }
        )
    if typing.get_origin(kind) is tuple and isinstance(value, list):
        inner = typing.get_args(kind)[0]
        return tuple(_from_plain(inner, each) for each in value)
    return value
