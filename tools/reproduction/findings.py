"""What the paper found, and whether it is so here.

Each finding is a number of comparisons of two rows in one column, over the
seeds that both have. One holds where the mean difference is above zero; it is
certain where the interval of its mean lies above zero (Student's t, 95 %).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
import dataclasses
import math
import statistics

from scipy import stats

from mtssl_tf.pages import tables_record
from tools.reproduction import plan
from tools.reproduction import results
from tools.reproduction import tables as tables_lib

_CONFIDENCE = 0.95  # ours


@dataclasses.dataclass(frozen=True)
class Difference:
    """One row less another, in percent points.

    Attributes:
        text: what is compared.
        by_seed: the difference with each seed that both have.
    """

    text: str
    by_seed: tuple[float, ...]

    @property
    def mean(self) -> float:
        return statistics.mean(self.by_seed)

    def half_width(self) -> float:
        """Returns half the interval of the mean; infinite with one seed."""
        count = len(self.by_seed)
        if count < 2:
            return math.inf
        error = statistics.stdev(self.by_seed) / math.sqrt(count)
        return float(stats.t.ppf((1 + _CONFIDENCE) / 2, count - 1)) * error

    def is_above(self) -> bool:
        """Returns whether the interval lies above zero."""
        return self.mean - self.half_width() > 0

    def is_below(self) -> bool:
        """Returns whether the interval lies below zero."""
        return self.mean + self.half_width() < 0

    def __str__(self) -> str:
        width = self.half_width()
        interval = f" ± {width:.1f}" if math.isfinite(width) else ""
        return f"{self.text}: {self.mean:+.1f}{interval}"


@dataclasses.dataclass(frozen=True)
class Finding:
    """A sentence of the paper, as comparisons.

    Attributes:
        text: the sentence.
        table: that it is about, in `tables.TABLES`.
        pairs: rows of it, by their labels: the better one, then the other.
        column: the one that it is about, by its number; None is all.
    """

    text: str
    table: str
    pairs: tuple[tuple[str, str], ...]
    column: int | None = None


_COMBINED = ("RP+Col", "RP+Ex", "RP+MS", "RP+Col+Ex", "RP+Col+Ex+MS")
FINDINGS = (
    Finding(
        "Combining tasks always helps",  # sec. 6.2 and the abstract
        "table2",
        tuple((each, "RP") for each in _COMBINED),
    ),
    Finding(
        "All four together are best",  # sec. 6.2
        "table2",
        tuple((_COMBINED[-1], each) for each in ("RP", *_COMBINED[:-1])),
    ),
    Finding(
        "Harmonized inputs help where weights are frozen",  # sec. 6.3
        "table3",
        (("RP / H", "RP"), ("RP+Col / H", "RP+Col")),
        column=0,
    ),
    Finding(
        "A mix in the evaluation helps where weights are frozen",  # Table 4
        "table4",
        (("Eval Only Lasso", "No Lasso"),),
        column=0,
    ),
    Finding(
        "A mix in pre-training alone hurts",  # sec. 6.3
        "table4",
        (("No Lasso", "Pre-train Only Lasso"),),
    ),
)


def found(
    parts: Sequence[str], options: plan.Options
) -> list[tables_record.Finding]:
    """Returns each finding with what speaks for it."""
    made = []
    for finding in FINDINGS:
        if finding.table in parts:
            compared = list(compare(finding, options))
            made.append(
                tables_record.Finding(
                    finding.text,
                    _verdict(compared),
                    _is_held(compared),
                    tuple(map(str, compared)),
                )
            )
    return made


def compare(finding: Finding, options: plan.Options) -> Iterator[Difference]:
    """Yields the comparisons of a finding that results are there for."""
    table = tables_lib.TABLES[finding.table]
    rows = {row.label: row for row in table.rows}
    for better, worse in finding.pairs:
        for number, column in enumerate(table.columns):
            if finding.column not in (None, number):
                continue
            first, second = (
                _by_seed(table, rows[label], column, options)
                for label in (better, worse)
            )
            both = sorted(first.keys() & second.keys())
            if both:
                yield Difference(
                    f"{better} over {worse}, {column.title}",
                    tuple(first[seed] - second[seed] for seed in both),
                )


def _by_seed(
    table: tables_lib.Table,
    row: tables_lib.Row,
    column: tables_lib.Column,
    options: plan.Options,
) -> dict[int, float]:
    """Returns seed -> percent, of what most seeds were made by."""
    wanted = [
        plan.cell(table, row, column, seed, options.preset)
        for seed in range(plan.seeds_of(column.evaluation, options))
    ]
    found = results.values(wanted, column.metric, options.out)
    return max(found.values(), key=len, default={})


def _is_held(compared: Sequence[Difference]) -> bool | None:
    """Returns whether all comparisons go one way, none of them by chance."""
    if compared and all(each.is_above() for each in compared):
        return True
    if any(each.is_below() for each in compared):
        return False
    return None


def _verdict(compared: Sequence[Difference]) -> str:
    if not compared:
        return "no results yet."
    held = sum(each.mean > 0 for each in compared)
    sure = sum(each.is_above() for each in compared)
    against = sum(each.is_below() for each in compared)
    return (
        f"so in {held} of {len(compared)} comparisons, beyond the seeds' "
        f"spread in {sure}; the other way beyond it in {against}."
    )
