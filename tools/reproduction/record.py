"""Puts together what a reproduction has found, for the page about it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
import statistics
import string
from typing import Any

from mtssl_tf.pages import run_record
from mtssl_tf.pages import tables_record
from mtssl_tf.pages import task_record
from mtssl_tf.reports import metrics_log
from mtssl_tf.reports import metrics_record
from mtssl_tf.reports import words
from mtssl_tf.training import cost_table
from tools.reproduction import findings
from tools.reproduction import pictures
from tools.reproduction import plan
from tools.reproduction import results
from tools.reproduction import tables as tables_lib

# Says why an evaluation has no result.
WhyMissing = Callable[[plan.Evaluation], str]
_FIGURE3_METRIC = "recall_at_5"  # paper, Fig. 3, on ImageNet


def build(
    parts: Sequence[str], options: plan.Options, why_missing: WhyMissing
) -> tables_record.TablesRecord:
    """Returns tables, curves, findings and pictures, as far as they are there.

    Results of another protocol or other code are never joined: they stand
    apart.
    """
    wanted = plan.evaluations(parts, options)
    methods = _Methods(wanted, options)
    tables = [
        _table(tables_lib.TABLES[part], options, methods, why_missing)
        for part in parts
        if part in tables_lib.TABLES
    ]
    charts: list[tables_record.Chart] = []
    if tables_lib.FIGURE3 in parts:
        figure = _figure3(options, methods, why_missing)
        tables.append(figure)
        charts += _figure3_chart(figure, options)
    trainings = list(dict.fromkeys(each.training for each in wanted))
    return tables_record.TablesRecord(
        tuple(_summary(wanted, options)),
        tuple(tables),
        (*charts, *_loss_charts(trainings, options)),
        tuple(findings.found(parts, options)),
        tuple(pictures.found(wanted, options)),
        methods.all(),
        tuple(_trunks(trainings, parts, options)),
    )


class _Methods:
    """Letters for what makes numbers, in the order of the plan."""

    def __init__(
        self, wanted: Sequence[plan.Evaluation], options: plan.Options
    ) -> None:
        self._found: dict[results.MadeBy, tables_record.Method] = {}
        for each in wanted:
            record = results.load(each, options.out)
            if record is not None:
                self._add(record, plan.shown_evaluation_command(each, options))

    def all(self) -> tuple[tables_record.Method, ...]:
        """Returns all of them."""
        return tuple(self._found.values())

    def numbers(
        self, wanted: Sequence[plan.Evaluation], metric: str, out: Any
    ) -> tuple[tables_record.Number, ...]:
        """Returns what stands in a cell."""
        return tuple(
            tables_record.Number(
                tuple(by_seed.values()), self._found[made_by].letter
            )
            for made_by, by_seed in results.values(wanted, metric, out).items()
        )

    def _add(self, record: dict[str, Any], command: str) -> None:
        made_by = results.made_by(record)
        if made_by not in self._found:
            self._found[made_by] = tables_record.Method(
                _letter(len(self._found)),
                made_by.protocol,
                made_by.code,
                record.get("commit") or "",
                command,
            )


def _letter(number: int) -> str:
    """Returns a, b, ..., z, a1, b1, ..."""
    turn, place = divmod(number, len(string.ascii_lowercase))
    return string.ascii_lowercase[place] + (str(turn) if turn else "")


def _table(
    table: tables_lib.Table,
    options: plan.Options,
    methods: _Methods,
    why_missing: WhyMissing,
) -> tables_record.Table:
    rows = []
    for row in table.rows:
        cells = []
        for column, paper in zip(table.columns, row.paper, strict=True):
            wanted = [
                plan.cell(table, row, column, seed, options.preset)
                for seed in range(plan.seeds_of(column.evaluation, options))
            ]
            numbers = methods.numbers(wanted, column.metric, options.out)
            cells.append(_cell(paper, numbers, wanted, options, why_missing))
        rows.append(tables_record.Row(row.label, tuple(cells)))
    titles = tuple(column.title for column in table.columns)
    return tables_record.Table(table.title, titles, tuple(rows))


def _figure3(
    options: plan.Options, methods: _Methods, why_missing: WhyMissing
) -> tables_record.Table:
    numbers = range(1, tables_lib.NUM_SNAPSHOTS + 1)
    rows = []
    for trunk in tables_lib.FIGURE3_TRUNKS:
        cells = []
        for number in numbers:
            wanted = [
                plan.snapshot(trunk, seed, number)
                for seed in range(options.figure3_seeds)
            ]
            found = methods.numbers(wanted, _FIGURE3_METRIC, options.out)
            cells.append(_cell(None, found, wanted, options, why_missing))
        rows.append(tables_record.Row(trunk.label, tuple(cells)))
    return tables_record.Table(
        "Over time (Figure 3): ImageNet recall@5 after so many GPU hours",
        tuple(f"{_hours(number, options):.3g}" for number in numbers),
        tuple(rows),
    )


def _cell(
    paper: float | None,
    numbers: tuple[tables_record.Number, ...],
    wanted: Sequence[plan.Evaluation],
    options: plan.Options,
    why_missing: WhyMissing,
) -> tables_record.Cell:
    missing = ""
    if not numbers:
        is_there = results.load(wanted[0], options.out) is not None
        missing = "not a finite number" if is_there else why_missing(wanted[0])
    return tables_record.Cell(paper, numbers, missing)


def _hours(number: int, options: plan.Options) -> float:
    """Returns the GPU hours of a snapshot."""
    return number * options.gpu_hours / tables_lib.NUM_SNAPSHOTS


def _figure3_chart(
    figure: tables_record.Table, options: plan.Options
) -> Iterator[tables_record.Chart]:
    """Yields the figure as lines, once there are points."""
    lines = []
    for row in figure.rows:
        points = tuple(
            (_hours(number, options), statistics.mean(cell.numbers[0].by_seed))
            for number, cell in enumerate(row.cells, 1)
            if cell.numbers
        )
        if points:
            lines.append(tables_record.Line(row.label, points))
    if lines:
        yield tables_record.Chart(
            "Figure 3: ImageNet recall@5, %",
            "Frozen trunks, by snapshots of equal cost.",
            "GPU hours",
            tuple(lines),
            None,
        )


def _loss_charts(
    trainings: Sequence[plan.Training], options: plan.Options
) -> Iterator[tables_record.Chart]:
    """Yields held-out losses of each task, over the runs of the first seed."""
    lines: dict[str, list[tables_record.Line]] = {}
    chances: dict[str, float] = {}
    for training in trainings:
        folder = options.out / training.folder()
        if training.seed or not (folder / metrics_log.FILE).is_file():
            continue
        points: dict[str, list[tuple[float, float]]] = {}
        for line in metrics_log.load_metrics(folder):
            figures = [line.get(x) for x in ("gpu_hours", "loss", "chance")]
            if metrics_record.is_judgement(line) and all(
                map(task_record.is_number, figures)
            ):
                points.setdefault(line["task"], []).append(
                    (line["gpu_hours"], line["loss"])
                )
                chances[line["task"]] = line["chance"]
        for task, own in points.items():
            lines.setdefault(task, []).append(
                tables_record.Line(training.trunk.label, tuple(own))
            )
    for task, chance in chances.items():
        title = task.replace("_", " ").capitalize()
        yield tables_record.Chart(
            f"{title}: loss",
            "On held-out examples, as trunks are trained; the first seed.",
            "GPU hours of all tasks",
            tuple(lines[task]),
            chance,
        )


def _trunks(
    trainings: Sequence[plan.Training],
    parts: Sequence[str],
    options: plan.Options,
) -> Iterator[tables_record.TrunkMade]:
    for training in trainings:
        if training.seed or training.trunk == tables_lib.RANDOM:
            continue
        yield tables_record.TrunkMade(
            training.trunk.label,
            _steps(options, training),
            plan.shown_training_command(training, options, parts),
        )


def _steps(options: plan.Options, training: plan.Training) -> str:
    """Returns the steps of each task, or '' before there is one."""
    try:
        run = run_record.load_run(options.out / training.folder())
    except (FileNotFoundError, ValueError):
        return ""
    return ", ".join(
        f"{name.replace('_', ' ')} {words.counted(task.num_steps, 'step')}"
        for name, task in run.tasks.items()
    )


def _summary(
    wanted: Sequence[plan.Evaluation], options: plan.Options
) -> Iterator[str]:
    """Yields what was run, and what it can tell."""
    num_trunks = len({each.training.trunk for each in wanted})
    yield (
        f"Preset {options.preset}: {words.counted(num_trunks, 'trunk')}, "
        f"random weights among them, each trained for {options.gpu_hours:g} "
        f"GPU hours by one table of seconds per step{_machine(options)}; the "
        "paper's had 16,800 hours of a K40."
    )
    yield (
        f"Ours are percent, mean and standard deviation over seeds, with their "
        f"number: {words.counted(options.seeds, 'seed')} in the ImageNet "
        f"columns, {options.fine_tuning_seeds} in PASCAL's and NYU's, "
        f"{options.figure3_seeds} in Figure 3. A letter says how a number was "
        "made."
    )
    yield from _data(wanted, options)
    num_there = sum(
        results.load(each, options.out) is not None for each in wanted
    )
    if num_there < len(wanted):
        yield f"{num_there} of {len(wanted)} results are there so far."
    yield (
        "Pictures and trunks of another scale need not rank as the paper's do. "
        "Two rows that differ by less than their seeds do cannot be told "
        "apart, and one seed tells nothing but an order of magnitude."
    )


def _machine(options: plan.Options) -> str:
    """Returns what seconds were measured on, once they are."""
    if not options.costs_file().is_file():
        return ""
    return f" ({cost_table.load_machine(options.costs_file())})"


def _data(
    wanted: Sequence[plan.Evaluation], options: plan.Options
) -> Iterator[str]:
    """Yields what the linear layers were trained on, once one is there."""
    for each in wanted:
        record = results.load(each, options.out)
        if record is not None and each.kind == tables_lib.LINEAR:
            train, test = record["data"]["train"], record["data"]["test"]
            yield (
                f"In place of ImageNet: {train['num_pictures']:,} pictures of "
                f"{train['num_classes']:,} classes to train linear layers on, "
                f"{test['num_pictures']:,} to judge them on."
            )
            return
