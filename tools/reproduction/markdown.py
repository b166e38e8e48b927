"""Tables of results beside the paper's numbers, as Markdown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
import statistics

from tools.reproduction import findings
from tools.reproduction import plan
from tools.reproduction import results
from tools.reproduction import tables as tables_lib

# Says why an evaluation has no result.
WhyMissing = Callable[[plan.Evaluation], str]


def as_markdown(
    parts: Sequence[str], options: plan.Options, why_missing: WhyMissing
) -> str:
    """Returns the tables, curves and findings that were asked for.

    A cell has the paper's number, ours as mean and standard deviation over
    seeds, and how many seeds. Results of another protocol or other code are
    never joined: they stand apart.
    """
    texts = [
        _table_as_markdown(tables_lib.TABLES[part], options, why_missing)
        for part in parts
        if part in tables_lib.TABLES
    ]
    if "figure3" in parts:
        texts.append(_figure3_as_markdown(options, why_missing))
    texts.append(findings.as_markdown(parts, options))
    return "\n".join(texts)


def _table_as_markdown(
    table: tables_lib.Table, options: plan.Options, why_missing: WhyMissing
) -> str:
    titles = [f"{column.title}: paper | ours" for column in table.columns]
    lines = [
        f"## {table.title}\n",
        f"| pre-training | {' | '.join(titles)} |",
        "|---|" + "---:|---:|" * len(table.columns),
    ]
    for row in table.rows:
        cells = [row.label]
        for column, paper in zip(table.columns, row.paper, strict=True):
            wanted = [
                plan.cell(table, row, column, seed, options.preset)
                for seed in range(plan.seeds_of(column.evaluation, options))
            ]
            cells.append("" if paper is None else f"{paper:g}")
            cells.append(_ours(wanted, column.metric, options, why_missing))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _figure3_as_markdown(options: plan.Options, why_missing: WhyMissing) -> str:
    every = options.gpu_hours / tables_lib.NUM_SNAPSHOTS
    numbers = range(1, tables_lib.NUM_SNAPSHOTS + 1)
    hours = [f"{number * every:.3g}" for number in numbers]
    lines = [
        "## Over time (Figure 3): recall@5 after so many GPU hours\n",
        f"| pre-training | {' | '.join(hours)} |",
        "|---|" + "---:|" * len(hours),
    ]
    for trunk in tables_lib.FIGURE3:
        cells = [trunk.label]
        for number in numbers:
            is_end = number == tables_lib.NUM_SNAPSHOTS
            wanted = [
                plan.Evaluation(
                    plan.Training(trunk, seed),
                    tables_lib.LINEAR,
                    snapshot=None if is_end else number,
                )
                for seed in range(options.seeds)
            ]
            cells.append(_ours(wanted, "recall_at_5", options, why_missing))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _ours(
    wanted: Sequence[plan.Evaluation],
    metric: str,
    options: plan.Options,
    why_missing: WhyMissing,
) -> str:
    """Returns what stands in a cell."""
    found = results.values(wanted, metric, options.out)
    if not found:
        return f"missing: {why_missing(wanted[0])}"
    return "; by other code or protocol ".join(
        _mean_and_spread(list(by_seed.values())) for by_seed in found.values()
    )


def _mean_and_spread(values: Sequence[float]) -> str:
    text = f"{statistics.mean(values):.1f}"
    if len(values) > 1:
        text += f" ± {statistics.stdev(values):.1f}"
    return f"{text} ({len(values)})"
