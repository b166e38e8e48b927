"""The paper's tables, row by row, with its own numbers.

A trunk is written as the paper writes it, by abbreviations that each task's
own file has: `RP+Col` is a trunk of two tasks.
"""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses

from mtssl_tf import tasks as tasks_lib

LINEAR, DETECTION, DEPTH = "linear", "detection", "depth"
NUM_SNAPSHOTS = 7  # paper, Fig. 3: 16.8K GPU hours by 2.4K


@dataclasses.dataclass(frozen=True)
class Trunk:
    """How a trunk comes about.

    Attributes:
        name: abbreviations of tasks with + between; '' is random weights.
        harmonize: `--harmonize` (the paper's "/ H").
        lasso: `--lasso` in pre-training.
    """

    name: str = ""
    harmonize: bool = False
    lasso: bool = False

    def tasks(self) -> tuple[str, ...]:
        """Returns the names of its tasks; none where it is random."""
        known = by_abbreviation()
        return tuple(known[each] for each in self.name.split("+") if each)

    @property
    def label(self) -> str:
        """A name for tables."""
        marks = (" / H" if self.harmonize else "") + (
            " / lasso" if self.lasso else ""
        )
        return (self.name or "Random Init") + marks


@dataclasses.dataclass(frozen=True)
class Column:
    """What is read of a trunk.

    Attributes:
        title: as the paper has it.
        evaluation: LINEAR, DETECTION or DEPTH.
        metric: key of the result's metrics, in percent.
    """

    title: str
    evaluation: str
    metric: str


@dataclasses.dataclass(frozen=True)
class Row:
    """A row of a table.

    Attributes:
        trunk: what is evaluated.
        paper: the paper's number in each column; None where it has none.
        lasso: whether the evaluations read a mix.
        title: where the row has another name than its trunk.
    """

    trunk: Trunk
    paper: tuple[float | None, ...]
    lasso: bool = False
    title: str = ""

    @property
    def label(self) -> str:
        """A name for tables."""
        return self.title or self.trunk.label


@dataclasses.dataclass(frozen=True)
class Table:
    """A table of the paper.

    Attributes:
        title: what it compares.
        columns: of numbers.
        rows: of trunks.
        at_one_stride: whether the linear evaluation reads all rows at the
            stride of a mix, so that nothing but the mix differs.
    """

    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    at_one_stride: bool = False


_TOP1 = Column("ImageNet top-1", LINEAR, "top1")
_RECALL = Column("ImageNet recall@5", LINEAR, "recall_at_5")
_MAP50 = Column("PASCAL mAP", DETECTION, "map_50")
_MAP75 = Column("PASCAL mAP at IoU 0.75", DETECTION, "map_75")
_DELTA = Column("NYU below 1.25", DEPTH, "delta1")
_USUAL = (_RECALL, _MAP50, _DELTA)

RANDOM = Trunk()
FOUR = Trunk("RP+Col+Ex+MS")
LABELS = Trunk("INet Labels")
_MIXED = dataclasses.replace(FOUR, lasso=True)

# All numbers: paper. Ours, beside its rows: random weights.
TABLES: Mapping[str, Table] = {
    "table1": Table(
        "Individual tasks",
        (_TOP1, _MAP50, _DELTA),
        (
            Row(RANDOM, (None, None, None)),
            Row(Trunk("RP"), (36.21, 66.75, 80.54)),
            Row(Trunk("Col"), (39.62, 65.47, 76.79)),
            Row(Trunk("Ex"), (31.51, 60.94, 69.57)),
            Row(Trunk("MS"), (27.62, 61.13, 74.24)),
            Row(LABELS, (66.82, 74.17, 80.06)),
        ),
    ),
    "table2": Table(
        "Combinations of tasks",
        _USUAL,
        (
            Row(RANDOM, (10.5, None, None)),
            Row(Trunk("RP"), (59.21, 66.75, 80.54)),
            Row(Trunk("RP+Col"), (66.64, 68.75, 79.87)),
            Row(Trunk("RP+Ex"), (65.24, 69.44, 78.70)),
            Row(Trunk("RP+MS"), (63.73, 68.81, 78.72)),
            Row(Trunk("RP+Col+Ex"), (68.65, 69.48, 80.17)),
            Row(FOUR, (69.30, 70.53, 79.25)),
            Row(LABELS, (85.10, 74.17, 80.06)),
        ),
    ),
    "table3": Table(
        "Harmonized inputs",
        _USUAL,
        (
            Row(Trunk("RP"), (59.21, 66.75, 80.23)),
            Row(Trunk("RP", harmonize=True), (62.33, 66.15, 80.39)),
            Row(Trunk("RP+Col"), (66.64, 68.75, 79.87)),
            Row(Trunk("RP+Col", harmonize=True), (68.08, 68.26, 79.69)),
        ),
    ),
    "table4": Table(
        "Lasso",
        _USUAL,
        (
            Row(FOUR, (69.30, 70.53, 79.25), title="No Lasso"),
            Row(FOUR, (70.18, 68.86, 79.41), True, "Eval Only Lasso"),
            Row(_MIXED, (68.09, 68.49, 78.96), title="Pre-train Only Lasso"),
            Row(_MIXED, (69.44, 68.98, 79.45), True, "Pre-train & Eval Lasso"),
        ),
        at_one_stride=True,
    ),
    "iou75": Table(
        "Stricter boxes (sec. 6.2)",
        (_MAP75,),
        (Row(FOUR, (43.91,)), Row(LABELS, (44.27,))),
    ),
}
# Trunks whose way to their last snapshot Figure 3 shows.
FIGURE3_TRUNKS = tuple(
    dict.fromkeys(
        row.trunk
        for table in ("table1", "table2")
        for row in TABLES[table].rows
        if row.trunk not in (RANDOM, LABELS)
    )
)
FIGURE3 = "figure3"
PARTS = (*TABLES, FIGURE3)


def by_abbreviation() -> dict[str, str]:
    """Returns the name of each task that the paper abbreviates."""
    return {
        task.abbreviation: name
        for name, task in tasks_lib.TASKS.items()
        if task.abbreviation
    }
