"""The paper's tables and Figure 3 from one command, at a scale of your choice.

    python -m tools.reproduce --images=DIR --videos=DIR --train=DIR \
        --test=DIR --voc=DEVKIT --depth=DIR --preset=tiny --out=OUT

Trains every trunk that the tables need, once, for equal GPU hours, and reads
each in all three evaluations; OUT/report.html and report.md, after each of
them, have the paper's number beside ours. --dry_run says what that is and what
it costs. The same command again goes on where it stopped; data that are not
given leave their cells empty, and what fails stops nothing else.
"""

# ruff: noqa: E402
from __future__ import annotations

from mtssl_tf.process import end_signals

if __name__ == "__main__":
    end_signals.take()  # before the imports below, which take a while

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
import contextlib
import dataclasses
import functools
import os
import pathlib
import statistics
import sys

from absl import flags

from evaluation import command as evaluation_command
from evaluation import result as result_lib
from evaluation.classification import protocol as linear_protocol
from mtssl_tf import report
from mtssl_tf.distribute import mapping
from mtssl_tf.pages import tables_record
from mtssl_tf.process import command as command_lib
from mtssl_tf.process import gpus as gpus_lib
from mtssl_tf.process import local_map
from mtssl_tf.process import lock
from tools.reproduction import begun
from tools.reproduction import checks
from tools.reproduction import jobs as jobs_lib
from tools.reproduction import plan as plan_lib
from tools.reproduction import tables as tables_lib

NAME = "tools.reproduce"
# Of a trunk. paper: 16.8K, of K40s; the others are ours.
_GPU_HOURS = {"tiny": 0.25, "small": 24.0, "paper": 16_800.0}
# Command -> an example of what may be passed on to it.
_PASSED_ON = {
    "train": "--recipe=paper",
    tables_lib.LINEAR: "--epochs=10",
    tables_lib.DETECTION: "--set=steps=100",
    tables_lib.DEPTH: "--set=steps=100",
}


def define_flags() -> flags.FlagValues:
    """Returns this program's flags, apart from those of any other."""
    values = flags.FlagValues()
    for name, text in (
        ("images", "Pictures to train trunks on."),
        ("videos", "Videos to train trunks on."),
        ("train", "Pictures with classes, as evaluation.imagenet_linear's."),
        ("test", "Pictures with classes, to judge linear layers on."),
        ("voc", "As evaluation.voc_detection's --data."),
        ("depth", "As evaluation.nyu_depth's --data."),
        ("out", "Folder for runs, results and tables."),
        ("costs", "A table of seconds per step; measured first if absent."),
    ):
        command_lib.define_path(name, "", text, values)
    flags.DEFINE_enum(
        "preset",
        "tiny",
        list(linear_protocol.PRESETS),
        "Scale.",
        flag_values=values,
    )
    flags.DEFINE_multi_enum(
        "only",
        None,
        list(tables_lib.PARTS),
        "Only this; may be repeated. All if absent.",
        flag_values=values,
    )
    flags.DEFINE_float(
        "gpu_hours",
        None,
        f"That every trunk is trained for; if absent {_GPU_HOURS}.",
        1e-6,
        flag_values=values,
    )
    flags.DEFINE_float(
        "budget_hours",
        None,
        "Stop before anything where the trainings take more GPU hours.",
        0.0,
        flag_values=values,
    )
    for name, default, text in (
        ("seeds", 3, "Of the linear evaluation."),
        ("fine_tuning_seeds", 1, "Of detection and depth."),
        ("figure3_seeds", 1, "Of the snapshots that Figure 3 reads."),
        ("jobs", 1, "Commands that run at a time, on this machine."),
    ):
        flags.DEFINE_integer(name, default, text, 1, 1000, flag_values=values)
    for kind in _PASSED_ON:
        flags.DEFINE_multi_string(
            f"{kind}_flag",
            [],
            f"Passed on to every {kind} command, as "
            f"--{kind}_flag={_PASSED_ON[kind]}.",
            flag_values=values,
        )
    mapping.define_flags("trunks, each with its evaluations,", values)
    flags.DEFINE_float(
        "run_cpus",
        1.0,
        "With --cluster: CPUs of a trunk.",
        0.0,
        flag_values=values,
    )
    flags.DEFINE_float(
        "run_gpus",
        None,
        "With --cluster: GPUs of a trunk; if absent one where there are any.",
        0.0,
        flag_values=values,
    )
    flags.DEFINE_float(
        "run_memory_gib",
        0.0,
        "With --cluster: memory of a trunk's training and evaluations; 0 "
        "leaves it uncounted.",
        0.0,
        flag_values=values,
    )
    flags.DEFINE_bool(
        "dry_run",
        False,
        "Print commands and cost, then stop.",
        flag_values=values,
    )
    return values


def main(argv: Sequence[str]) -> int:
    """Runs the command and returns its exit code; 1 where a cell failed."""
    return command_lib.run(NAME, __doc__, define_flags(), argv, _work)


@dataclasses.dataclass(frozen=True)
class _Work:
    """What is asked for, and what of it can be had.

    Attributes:
        parts: of `tables.PARTS`.
        sources: what is at hand.
        options: how it is run.
        missing: evaluations that lack data, and the flags for them.
    """

    parts: tuple[str, ...]
    sources: plan_lib.Sources
    options: plan_lib.Options
    missing: dict[plan_lib.Evaluation, str]

    def evaluations(self) -> list[plan_lib.Evaluation]:
        """Returns those that can be had."""
        found = plan_lib.evaluations(self.parts, self.options)
        return [each for each in found if each not in self.missing]

    def trainings(self) -> list[plan_lib.Training]:
        """Returns the runs that they need."""
        found = dict.fromkeys(each.training for each in self.evaluations())
        return [each for each in found if each.trunk != tables_lib.RANDOM]

    def hours(self) -> float:
        """Returns the GPU hours of all trainings."""
        return len(self.trainings()) * self.options.gpu_hours


def _work(values: flags.FlagValues) -> int:
    evaluation_command.check_given(values, ("out",))
    mapping.check_flags(values)
    if values.cluster and values.jobs > 1:
        raise ValueError(
            f"--jobs={values.jobs} is for this machine alone: on a cluster "
            "each trunk has a place where there is room. Leave it out."
        )
    gpus = _gpus_of_each(values.jobs)
    work = _plan(values)
    checks.check_passed_on(work.options)
    begun.check(work.options, work.sources)
    _check_budget(work, values.budget_hours)
    jobs = _jobs(work)
    print(
        "\n".join([*_describe(work), *_describe_rest(work, jobs)]), flush=True
    )
    if values.dry_run:
        for job in jobs:
            print(job.name)
        return 0
    checks.check_data(work.evaluations(), work.sources, work.options)
    with lock.hold(work.options.out, command_lib.end_at_lost_lock(NAME)):
        begun.save(work.options, work.sources)
        if not values.cluster:
            runner = jobs_lib.Runner(work.options.out, values.jobs, gpus)
            return _run(work, jobs, runner)
        with _cluster(work, values) as map_all:
            spread = jobs_lib.ClusterRunner(work.options.out, map_all)
            return _run(work, jobs, spread)


def _cluster(
    work: _Work, values: flags.FlagValues
) -> contextlib.AbstractContextManager[local_map.MapAll]:
    data = [
        (name, path)
        for name, path in dataclasses.asdict(work.sources).items()
        if os.path.isdir(path)
    ]
    return mapping.over_cluster(
        values,
        work.options.out,
        data,
        values.run_cpus,
        values.run_gpus,
        values.run_memory_gib,
    )


def _gpus_of_each(num_jobs: int) -> list[str]:
    """Returns a GPU for each command, where several run at a time on some.

    Raises:
        ValueError: there are some, and too few.
    """
    gpus = gpus_lib.names() if num_jobs > 1 else []
    if gpus and len(gpus) < num_jobs:
        raise ValueError(
            f"--jobs={num_jobs} needs a GPU for each, since a command takes "
            f"all of one's memory; there are {len(gpus)}. Ask for as many, or "
            f"hide them ({gpus_lib.VISIBLE}=-1)."
        )
    return gpus


def _plan(values: flags.FlagValues) -> _Work:
    sources = plan_lib.Sources(
        **{
            field.name: _from_anywhere(getattr(values, field.name))
            for field in dataclasses.fields(plan_lib.Sources)
        }
    )
    options = plan_lib.Options(
        out=pathlib.Path(values.out).absolute(),
        preset=values.preset,
        gpu_hours=values.gpu_hours or _GPU_HOURS[values.preset],
        costs=values.costs and os.path.abspath(values.costs),
        seeds=values.seeds,
        fine_tuning_seeds=values.fine_tuning_seeds,
        figure3_seeds=values.figure3_seeds,
        flags={
            kind: tuple(values[f"{kind}_flag"].value) for kind in _PASSED_ON
        },
    )
    parts = tuple(values.only or tables_lib.PARTS)
    missing = {
        each: flags_missing
        for each in plan_lib.evaluations(parts, options)
        if (flags_missing := plan_lib.missing_data(each, sources))
    }
    work = _Work(parts, sources, options, missing)
    if not work.evaluations():
        raise ValueError(
            f"Nothing can be had with these data: add {_least(missing)}. Each "
            "gives a part of the tables; the rest needs the others too."
        )
    return work


def _least(missing: Mapping[plan_lib.Evaluation, str]) -> str:
    """Returns the smallest sets of flags that an evaluation lacks, in words."""
    lacking = [set(names.split(", ")) for names in missing.values()]
    least = dict.fromkeys(
        names
        for names, own in zip(missing.values(), lacking)
        if not any(other < own for other in lacking)
    )
    return ", or ".join(names.replace(", ", " and ") for names in least)


def _from_anywhere(source: str) -> str:
    """Returns a folder's whole path; other sources as they are."""
    return os.path.abspath(source) if os.path.isdir(source) else source


def _check_budget(work: _Work, budget_hours: float | None) -> None:
    """Raises ValueError where the trainings take more than was allowed."""
    if budget_hours is None or work.hours() <= budget_hours:
        return
    fitting = ""
    for number in range(len(work.parts), 0, -1):
        smaller = dataclasses.replace(work, parts=work.parts[:number])
        if smaller.hours() <= budget_hours:
            only = " ".join(f"--only={part}" for part in smaller.parts)
            fitting = f" {only} takes {smaller.hours():.4g}."
            break
    raise ValueError(
        f"The trainings take {work.hours():.4g} GPU hours "
        f"({len(work.trainings())} of {work.options.gpu_hours:g}), over "
        f"--budget_hours={budget_hours:g}.{fitting} Fewer --seeds or "
        "--gpu_hours make it smaller."
    )


def _describe(work: _Work) -> list[str]:
    kinds = Counter(each.kind for each in work.evaluations())
    lines = [
        f"{len(work.trainings())} trunks, {work.options.gpu_hours:g} GPU hours "
        f"each: {work.hours():.4g} GPU hours.",
        "Evaluations, whose time comes on top: "
        + ", ".join(f"{kind} {number}" for kind, number in kinds.items())
        + ".",
    ]
    if work.missing:
        lacking = Counter(work.missing.values())
        lines += [
            f"{number} evaluations are left out without {names}."
            for names, number in lacking.items()
        ]
    return lines


def _describe_rest(work: _Work, jobs: Sequence[jobs_lib.Job]) -> Iterator[str]:
    """Yields what is done, and how long the rest takes by that."""
    kinds = {str(each.folder()): "train" for each in work.trainings()} | {
        str(each.folder()): each.kind for each in work.evaluations()
    }
    took: dict[str, list[float]] = {}
    for name, kind in kinds.items():
        seconds = jobs_lib.seconds_of(work.options.out, name)
        if seconds is not None:
            took.setdefault(kind, []).append(seconds)
    if not took:
        return
    left = Counter(kinds[job.name] for job in jobs if job.name in kinds)
    means = {kind: statistics.mean(each) for kind, each in took.items()}
    yield (
        "Done: "
        + ", ".join(
            f"{kind} {len(each)} ({means[kind]:.0f} s each)"
            for kind, each in took.items()
        )
        + "."
    )
    hours = sum(left[kind] * mean_s for kind, mean_s in means.items()) / 3600
    unknown = [kind for kind in left if kind not in means]
    yield (
        f"At that pace {hours:.2g} h are left, one at a time"
        + (f", without those of {', '.join(unknown)}." if unknown else ".")
    )


def _jobs(work: _Work) -> list[jobs_lib.Job]:
    """Returns the commands whose results are missing, runs before readers.

    A run that nobody is to read any more is none of them, there or not.
    """
    from mtssl_tf.training import run_directory  # no help waits for it

    jobs: dict[str, jobs_lib.Job] = {}
    # One after another, and before all else: nothing is to run beside them.
    needed: tuple[str, ...] = ()
    for number, command in enumerate(_calibrations(work)):
        name = f"calibration_{number}"
        jobs[name] = jobs_lib.Job(
            name, functools.partial(list, command), needed
        )
        needed = (name,)
    for each in work.evaluations():
        name = str(each.folder())
        if jobs_lib.is_done(work.options.out, name):
            continue
        training = each.training
        run = str(training.folder())
        is_trained = training.trunk != tables_lib.RANDOM
        if is_trained and run not in jobs:
            jobs[run] = jobs_lib.Job(
                run,
                functools.partial(
                    plan_lib.training_command,
                    training,
                    work.sources,
                    work.options,
                    work.parts,
                ),
                needed,
                run,
                f"{run}/{run_directory.CONFIG_FILE}",
            )
        jobs[name] = jobs_lib.Job(
            name,
            functools.partial(
                plan_lib.evaluation_command, each, work.sources, work.options
            ),
            (run,) if is_trained else needed,
            run,
            f"{name}/{result_lib.RESULT_FILE}",
        )
    return list(jobs.values())


def _calibrations(work: _Work) -> list[list[str]]:
    """Returns what measures seconds per step, where no table was given."""
    if work.options.costs:
        return []
    return plan_lib.calibration_commands(
        work.trainings(), work.sources, work.options
    )


def _run(
    work: _Work,
    jobs: Sequence[jobs_lib.Job],
    runner: jobs_lib.Runner | jobs_lib.ClusterRunner,
) -> int:
    from tools.reproduction import record  # slow; a mistyped flag needs none

    def why_missing(each: plan_lib.Evaluation) -> str:
        if each in work.missing:
            return f"without {work.missing[each]}"
        return runner.failures.get(str(each.folder()), "not yet")

    def save() -> None:
        found = record.build(work.parts, work.options, why_missing)
        tables_record.save(found, work.options.out)
        report.write_report(work.options.out)

    def tell(job: jobs_lib.Job) -> None:
        save()
        left = sum(
            not jobs_lib.is_done(work.options.out, each.name) for each in jobs
        )
        print(f"{job.name} has ended, {left} left.", flush=True)

    save()
    try:
        runner.run(jobs, tell)
    except jobs_lib.Stopped as stopped:
        print(f"{NAME}: {stopped}. Run it again to go on.", file=sys.stderr)
        return end_signals.EXIT_SIGNAL + stopped.number
    save()
    for name, reason in runner.failures.items():
        print(f"{NAME}: {name}: {reason}", file=sys.stderr)
    return 1 if runner.failures else 0


if __name__ == "__main__":
    command_lib.end(main(sys.argv))
