"""Kills commands at random moments; the same command must come to the same end.

    python -m tools.kill_test --out=DIR [--kills=10] [--only=train,masks]

Each command runs once undisturbed. Then it is started again and again in a
fresh folder, killed with SIGKILL at a random moment (its process alone, as
the kernel does that is short of memory, or all that it started, as a host that
goes down), and at last let run to its end. What it has made is compared with
the undisturbed run to the bit, times apart. Inputs are made from the sample
set. The result is a table, and OUT/kills.json; exit code 1 where anything
differs.
"""

# ruff: noqa: E402
from __future__ import annotations

from mtssl_tf.process import end_signals

if __name__ == "__main__":
    end_signals.take()  # before the imports below, which take a while

from collections.abc import Callable, Mapping, Sequence
import dataclasses
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import time

from absl import flags

from mtssl_tf import recipes
from mtssl_tf.process import atomic_file
from mtssl_tf.process import command
from mtssl_tf.reports import metrics_log
from tools import kill_digests
from tools import kill_inputs
from tools import scenarios

RESULT_FILE = "kills.json"
# When a command is killed: at any moment of its time, when a file has just
# appeared, or after any of its steps. Of a short run imports are most of the
# time, so that moments of TIMES find few of its states.
TIMES, WRITES, STEPS = "times", "writes", "steps"
_PYTHON = sys.executable
_TIMEOUT_S = 900.0
_MOST_LINES = 6
_TASKS = recipes.default_tasks()
_SMALL = (
    "--set=trunk.num_units=(1,1,2)",
    "--set=trunk.width=0.125",
    "--set=data.num_fit=8",
    "--set=train.judge_batches=1",
    "--set=train.log_every=2",
    *(f"--set={task}.batch_size=4" for task in _TASKS),
)


@dataclasses.dataclass(frozen=True)
class Scenario:
    """A command that is killed.

    Attributes:
        name: in the table.
        command: (inputs, folder to write) -> arguments of Python.
        digest: folder -> name of each result -> what must be the same.
        moments: when it is killed, one of `TIMES`, `WRITES` and `STEPS`.
        whole: what appears in one piece at the end, and is not written again:
            who is killed after that has come to the end, and the next start
            would be refused.
    """

    name: str
    command: Callable[[pathlib.Path, pathlib.Path], Sequence[str]]
    digest: kill_digests.Digest
    moments: str = TIMES
    whole: str = ""


@dataclasses.dataclass
class Outcome:
    """What came of a scenario."""

    name: str
    kills: int = 0
    undisturbed_s: float = 0.0
    differing: list[str] = dataclasses.field(default_factory=list)
    failed: str = ""


def train_command(
    inputs: pathlib.Path, out: pathlib.Path, *more: str
) -> tuple[str, ...]:
    """Returns Python's arguments for a small run of the paper's four tasks."""
    return (
        *("-m", "mtssl_tf.train", f"--tasks={','.join(_TASKS)}"),
        *(f"--images={inputs / 'images'}", f"--videos={inputs / 'videos'}"),
        *(f"--workdir={out / 'run'}", f"--set=data.cache_dir={out / 'cache'}"),
        *(*_SMALL, *more),
    )


def _evaluate(name: str, data: str, *more: str):
    def build(inputs: pathlib.Path, out: pathlib.Path) -> tuple[str, ...]:
        return (
            *("-m", f"evaluation.{name}", "--trunk=random", "--preset=tiny"),
            *(f"--out={out / 'result'}", *(data.format(inputs).split())),
            *more,
        )

    return build


_CLASSES = "--train={0}/classes/train --test={0}/classes/test"
_SAMPLES = (
    "import sys; from mtssl_tf.data import sample_set;"
    "sample_set.build_sample_set(sys.argv[1])"
)

_OFTEN = (
    *("--set=train.save_every=1", "--set=train.accumulate=2"),
    *("--keep_best=rankme", "--set=train.rank_every=2"),
)

SCENARIOS = (
    Scenario(
        "train",
        lambda i, o: train_command(
            i, o, "--steps=12", "--set=train.save_every=3"
        ),
        kill_digests.hash_run,
        moments=STEPS,
    ),
    Scenario(
        "train while it saves",
        lambda i, o: train_command(i, o, "--steps=12", *_OFTEN),
        kill_digests.hash_run,
        moments=WRITES,
    ),
    Scenario(
        "train with snapshots",
        lambda i, o: train_command(
            i,
            o,
            *("--steps=12", "--set=train.save_every=5"),
            *(f"--costs={i / kill_inputs.COSTS_FILE}", "--snapshot_every=0.02"),
        ),
        kill_digests.hash_run,
        moments=WRITES,
    ),
    Scenario(
        "train on a cluster",
        lambda i, o: train_command(
            i,
            o,
            *("--steps=8", "--set=train.save_every=2", "--cluster=local"),
            *("--mode=turns", "--store_shards=2"),
        ),
        kill_digests.hash_run,
        moments=STEPS,
    ),
    Scenario(
        "export",
        lambda i, o: (
            *("-m", "mtssl_tf.export", f"--workdir={i / 'trained' / 'run'}"),
            f"--out={o / 'export'}",
        ),
        kill_digests.hash_export,
        whole="export",
    ),
    Scenario(
        "embed",
        lambda i, o: (
            *("-m", "mtssl_tf.embed", f"--images={i / 'images'}"),
            f"--trunk={i / 'trained' / 'run'}",
            *(f"--out={o / 'vectors.npz'}", "--neighbours=4"),
        ),
        kill_digests.hash_files,
        whole="vectors.npz",
    ),
    Scenario(
        "report",
        lambda i, o: (
            *("-m", "mtssl_tf.report", str(i / "trained" / "run")),
            f"--out={o / 'report.html'}",
        ),
        kill_digests.hash_files,
    ),
    Scenario(
        "masks",
        lambda i, o: (
            *("-m", "mtssl_tf.masks", f"--videos={i / 'videos'}"),
            *(f"--out={o / 'masks'}", "--short_side=96", "--workers=2"),
        ),
        kill_digests.hash_files,
    ),
    Scenario(
        "sample set",
        lambda i, o: ("-c", _SAMPLES, str(o)),
        kill_digests.hash_files,
    ),
    Scenario(
        "linear",
        _evaluate("imagenet_linear", _CLASSES),
        kill_digests.hash_files,
    ),
    Scenario(
        "linear by the paper",
        _evaluate("imagenet_linear", _CLASSES, "--full", "--epochs=2"),
        kill_digests.hash_files,
    ),
    Scenario(
        "depth",
        _evaluate("nyu_depth", "--data={0}/depth", "--steps=4"),
        kill_digests.hash_files,
    ),
    Scenario(
        "detection",
        _evaluate("voc_detection", "--data={0}/voc", "--set=steps=4"),
        kill_digests.hash_files,
    ),
)


_FLAGS = scenarios.define_flags("kills", "Of each command.", SCENARIOS)


def main(argv: Sequence[str]) -> int:
    """Runs the scenarios; 1 where one differs."""
    return command.run("tools.kill_test", __doc__, _FLAGS, argv, _work)


def _work(values: flags.FlagValues) -> int:
    outcomes = scenarios.try_all(
        values,
        SCENARIOS,
        build_inputs,
        lambda scenario, inputs, out: kill_and_compare(
            scenario, inputs, out, values.kills, values.seed
        ),
        as_table,
        RESULT_FILE,
    )
    return int(any(o.failed or o.differing for o in outcomes))


def build_inputs(out: pathlib.Path) -> pathlib.Path:
    """Makes what commands read, a run among it; returns the folder."""
    inputs = out / "inputs"
    kill_inputs.build(inputs)
    run_to_end(
        train_command(inputs, inputs / "trained", "--steps=4"),
        out / "trained.log",
    )
    return inputs


def kill_and_compare(
    scenario: Scenario,
    inputs: pathlib.Path,
    out: pathlib.Path,
    kills: int,
    seed: int,
) -> Outcome:
    """Runs a command undisturbed and killed, each in a fresh folder."""
    outcome = Outcome(scenario.name)
    rng = random.Random(f"{seed} {scenario.name}")
    folder = out / scenario.name.replace(" ", "_").replace(",", "")
    shutil.rmtree(folder, ignore_errors=True)
    whole, killed = folder / "undisturbed", folder / "killed"
    for each in (whole, killed):
        each.mkdir(parents=True)
    log = folder / "log"
    start = time.monotonic()
    outcome.failed = run_to_end(scenario.command(inputs, whole), log)
    outcome.undisturbed_s = round(time.monotonic() - start, 1)
    expected = {} if outcome.failed else scenario.digest(whole)
    found: set[str] = set()
    while outcome.kills < kills and not outcome.failed:
        is_killed = _run_and_kill(scenario, inputs, killed, outcome, rng, log)
        outcome.kills += is_killed
        # Whoever comes to the end starts over.
        if not outcome.failed and (
            not is_killed or _is_whole(scenario, killed)
        ):
            found |= differing(expected, scenario.digest(killed))
            shutil.rmtree(killed)
            killed.mkdir(parents=True)
    outcome.failed = outcome.failed or run_to_end(
        scenario.command(inputs, killed), log
    )
    if not outcome.failed:
        found |= differing(expected, scenario.digest(killed))
    outcome.differing = sorted(found)
    return outcome


def _is_whole(scenario: Scenario, folder: pathlib.Path) -> bool:
    return bool(scenario.whole) and (folder / scenario.whole).exists()


def _run_and_kill(
    scenario: Scenario,
    inputs: pathlib.Path,
    out: pathlib.Path,
    outcome: Outcome,
    rng: random.Random,
    log: pathlib.Path,
) -> bool:
    """Starts a command and kills it; returns False where it was faster."""
    process = start(scenario.command(inputs, out), log)
    delay_s = rng.uniform(0.0, 1.05 * outcome.undisturbed_s)
    if scenario.moments == WRITES:
        _wait_for_writes(process, out, rng.randint(1, 6))
        delay_s = rng.uniform(0.0, 0.1)
    elif scenario.moments == STEPS:
        wait_for_lines(process, out, rng.randint(0, _MOST_LINES))
        delay_s = rng.uniform(0.0, 1.0)
    try:
        code = process.wait(delay_s)
        if code:
            outcome.failed = f"exit code {code}; see {log}"
        return False
    except subprocess.TimeoutExpired:
        if rng.random() < 0.5:
            process.kill()
        else:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return True


def _wait_for_writes(
    process: subprocess.Popen, out: pathlib.Path, writes: int
) -> None:
    """Waits until so many checkpoints have begun to appear."""
    seen: set[str] = set()
    before = _checkpoint_files(out)
    while process.poll() is None and len(seen) < writes:
        seen |= _checkpoint_files(out) - before
        time.sleep(0.001)


def _checkpoint_files(out: pathlib.Path) -> set[str]:
    return {path.name for path in atomic_file.find(out, "**/*ckpt*")}


def wait_for_lines(
    process: subprocess.Popen, out: pathlib.Path, number: int
) -> None:
    """Waits until the run in `out` has so many further lines of metrics."""
    wanted = count_lines(out) + number
    while process.poll() is None and count_lines(out) < wanted:
        time.sleep(0.005)


def count_lines(out: pathlib.Path) -> int:
    """Returns how many lines of metrics the run in `out` has."""
    file = out / "run" / metrics_log.FILE
    return file.read_bytes().count(b"\n") if file.exists() else 0


def run_to_end(command: Sequence[str], log: pathlib.Path) -> str:
    """Runs a command; returns how it failed, or ''."""
    process = start(command, log)
    try:
        code = process.wait(_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        return f"not done after {_TIMEOUT_S:.0f} s; see {log}"
    return f"exit code {code}; see {log}" if code else ""


def start(command: Sequence[str], log: pathlib.Path) -> subprocess.Popen:
    """Starts Python in a session of its own, with what it says in a log."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as file:
        return subprocess.Popen(
            [_PYTHON, *command],
            stdout=file,
            stderr=file,
            start_new_session=True,
        )


def differing(expected: Mapping[str, str], got: Mapping[str, str]) -> set[str]:
    """Returns the names of results that lack or differ."""
    return {
        name
        for name in expected.keys() | got.keys()
        if expected.get(name) != got.get(name)
    }


def as_table(outcomes: Sequence[Outcome]) -> str:
    """Returns the outcomes as Markdown."""
    lines = [
        "| command | undisturbed, s | kills | end |",
        "|---|---:|---:|---|",
    ]
    for each in outcomes:
        end = each.failed or "equal to the bit"
        if each.differing:
            end = f"{len(each.differing)} differ: {each.differing[:3]}"
        lines.append(
            f"| {each.name} | {each.undisturbed_s:.0f} | {each.kills} | {end} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    command.end(main(sys.argv))
