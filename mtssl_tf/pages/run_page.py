"""The page about one run: what was learned, what was not, what to do next."""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses
import os
import pathlib

from mtssl_tf import tasks as tasks_lib
from mtssl_tf import weighting
from mtssl_tf.files import names as names_lib
from mtssl_tf.pages import axes
from mtssl_tf.pages import curve as curve_lib
from mtssl_tf.pages import limits as limits_lib
from mtssl_tf.pages import next_steps
from mtssl_tf.pages import page
from mtssl_tf.pages import run_record
from mtssl_tf.pages import shares_chart
from mtssl_tf.pages import task_record
from mtssl_tf.pages import verdict as verdict_lib
from mtssl_tf.reports import words
from mtssl_tf.tasks import words as words_lib
from mtssl_tf.weighting import weighing

_TEMPLATE = "run.html"
_MIX = "mixing_weights"
# Of `RunRecord.measured`: how to read what is told by name and number alone.
_ABOUT = {
    "rank": "How many directions the vectors of pictures use (RankMe), of at "
    "most so many: near 1 the trunk says the same of every picture. Spread 0 "
    "and cosine 1 are collapse.",
    "probe": "Which share of the labelled pictures of --probe is told right by "
    "reading the trunk alone.",
    "gradient_cosines": "Cosines of the tasks' gradients on the trunk, as last "
    "measured: near 0 they do not disturb each other, below -0.5 they pull in "
    "opposite directions.",
}


@dataclasses.dataclass(frozen=True)
class TaskPart:
    """What the page shows of one task.

    Attributes:
        record: of the task.
        told: its words.
        verdict: on it.
        curve: of its measure over time.
        picture: of what it sees and predicts; None where none was drawn.
    """

    record: task_record.TaskRecord
    told: words_lib.TaskWords
    verdict: verdict_lib.Verdict
    curve: curve_lib.Curve
    picture: pathlib.Path | None

    @property
    def title(self) -> str:
        """The task's name, as a title."""
        return self.record.name.replace("_", " ").capitalize()

    @property
    def measure(self) -> str:
        """What the curve shows, in words."""
        return verdict_lib.shown(self.record.measure(self.told.measure).name)

    @property
    def figures(self) -> list[tuple[str, float, float | None]]:
        """Name, last held-out value and a blind guess's of each measure."""
        if not self.record.held_out:
            return []
        last, chance = self.record.held_out[-1], self.record.metrics_chance
        rows = [("loss", last.loss, self.record.chance)]
        return [
            *rows,
            *((n, value, chance.get(n)) for n, value in last.metrics.items()),
        ]


@dataclasses.dataclass(frozen=True)
class RunPage:
    """All that the page and the terminal say of a run.

    Attributes:
        run: what its files say.
        parts: its tasks.
        limits: what it cannot tell or could not learn, in sentences.
        steps: what to do next.
    """

    run: run_record.RunRecord
    parts: tuple[TaskPart, ...]
    limits: tuple[str, ...]
    steps: tuple[next_steps.NextStep, ...]

    @property
    def name(self) -> str:
        """The run's, for titles."""
        return names_lib.shown(self.run.workdir.absolute().name)

    @property
    def summary(self) -> str:
        """What was trained, on what and for how long, in a sentence or two."""
        run = self.run
        preset = run.settings.get("preset")
        scale = f" at preset {preset}" if isinstance(preset, str) else ""
        data = [_described(run, kind) for kind in self.sources]
        text = (
            f"{words.counted(len(self.parts), 'task')} trained one trunk"
            f"{scale}, on {' and '.join(data)}: "
            f"{words.counted(run.step, 'step')}"
        )
        if run.planned is not None and run.step < run.planned:
            text += f" of {run.planned:,} so far"
        if run.seconds:
            text += f", in {words.duration(run.seconds / 3600)}"
        return f"{text}."

    @property
    def measured(self) -> list[tuple[str, str, Mapping[str, float]]]:
        """Title, explanation and numbers of what was measured of the trunk."""
        return [
            (kind.replace("_", " ").capitalize(), self._about(kind), values)
            for kind, values in self.run.measured.items()
            if values
        ]

    def _about(self, kind: str) -> str:
        if kind == weighing.FIGURES and self._rule in weighting.RULES:
            return weighting.RULES[self._rule].about
        return _ABOUT.get(kind, "")

    @property
    def shares(self) -> shares_chart.SharesChart | None:
        """Shares of the steps over time; None where they never moved."""
        return shares_chart.draw(self.run, self._rule)

    @property
    def _rule(self) -> str:
        return self.run.setting("train", "weighting", str) or weighing.FIGURES

    @property
    def facts(self) -> list[tuple[str, str]]:
        """Name and value of what it takes to make the run again."""
        run = self.run
        shown = {
            "command": run.command,
            "version": run.settings.get("version"),
            "pictures": run.setting("data", "images", str),
            "videos": run.setting("data", "videos", str),
            "seed": run.setting("train", "seed", int),
            "steps of each task": ", ".join(
                f"{part.title} {part.record.num_steps:,}" for part in self.parts
            ),
        }
        return [
            (name, names_lib.shown(str(value)))
            for name, value in shown.items()
            if value not in (None, "")
        ]

    @property
    def sources(self) -> list[str]:
        """'images' and 'videos', those that its tasks learn from."""
        names = [part.record.name for part in self.parts]
        return list(dict.fromkeys(map(source_of, names)))


def build(workdir: str | os.PathLike) -> RunPage:
    """Reads a run and judges it.

    Raises:
        FileNotFoundError: it is none.
        OSError: it cannot be read.
        ValueError: its settings are damaged, or it has no step to show.
    """
    run = run_record.load_run(workdir)
    parts = tuple(_part(run, record) for record in run.tasks.values())
    verdicts = {part.record.name: part.verdict for part in parts}
    sources = {name: source_of(name) for name in run.tasks}
    return RunPage(
        run,
        parts,
        tuple(limits_lib.limits(run, verdicts, sources)),
        tuple(next_steps.next_steps(run, verdicts)),
    )


def as_html(built: RunPage) -> str:
    """Returns the page.

    Raises:
        OSError: a picture cannot be read.
    """
    return page.render(
        _TEMPLATE,
        page=built,
        run=built.run,
        mix=built.run.pictures.get(_MIX),
        chart=axes,
    )


def as_text(built: RunPage) -> str:
    """Returns the same for a terminal, without pictures."""
    lines = [built.summary, ""]
    for part in built.parts:
        lines.append(f"{part.title}: {part.verdict.kind}")
        lines += [f"  {each}" for each in (part.verdict.result,) if each]
        lines.append(f"  {part.verdict.reason}")
    if built.shares:
        shown = built.shares.shown
        last = ", ".join(line.label for line in shown.lines)
        lines.append(f"{shown.title}: {last}")
    for alarm in built.run.alarms:
        lines.append(f"Alarm at step {alarm.step:,}: {alarm.message}")
    lines += ["", "What it cannot tell"]
    lines += [f"  {n}. {text}" for n, text in enumerate(built.limits, 1)]
    lines += ["", "What next"]
    for number, step in enumerate(built.steps, 1):
        lines.append(f"  {number}. {step.text}")
        lines += [f"       {command}" for command in step.commands]
    return "\n".join(lines)


def source_of(task: str) -> str:
    """Returns 'images' or 'videos'; 'images' for tasks of other versions."""
    return tasks_lib.TASKS[task].source if _is_known(task) else "images"


def _is_known(task: str) -> bool:
    return task in tasks_lib.TASKS


def _part(
    run: run_record.RunRecord, record: task_record.TaskRecord
) -> TaskPart:
    name = record.name
    told = words_lib.TaskWords()
    if _is_known(name):
        told = tasks_lib.TASKS[name].words
    kind = source_of(name)
    batches = run.setting("train", "judge_batches", int) or 0
    return TaskPart(
        record,
        told,
        verdict_lib.judge(
            record,
            told,
            limits_lib.NOUNS[kind],
            run.examples[kind].trained_on,
            batches * limits_lib.batch_size(run, name),
        ),
        curve_lib.draw(record.measure(told.measure), run.step),
        run.pictures.get(name),
    )


def _described(run: run_record.RunRecord, kind: str) -> str:
    noun, examples = limits_lib.NOUNS[kind], run.examples[kind]
    if examples.count is None:
        return f"{noun}s"
    if examples.trained_on is None:
        return words.counted(examples.count, noun)
    return (
        f"{words.counted(examples.trained_on, noun)} (and judged on "
        f"{examples.held_out:,} more)"
    )
