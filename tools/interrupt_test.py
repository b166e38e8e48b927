"""Presses Ctrl-C at random moments: how soon does a command end, and how?

    python -m tools.interrupt_test --out=DIR [--times=10] [--only=train,masks]

Each command of `tools.kill_test`, and the doctor, runs once undisturbed. Then
it is started again and again, and gets SIGINT after a random time: its process
alone, or all that it started, as a terminal does it. It must end within two
seconds (on a cluster, 20), with exit code 130 (or 0, where it was about to
end), and without a traceback; at last the same command must come to its end.
The result is a table, and OUT/interrupts.json; exit code 1 where anything else
happened.
"""

# ruff: noqa: E402
from __future__ import annotations

from mtssl_tf.process import end_signals

if __name__ == "__main__":
    end_signals.take()  # before the imports below, which take a while

from collections.abc import Sequence
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

from mtssl_tf.process import command
from tools import kill_digests
from tools import kill_test
from tools import scenarios

RESULT_FILE = "interrupts.json"
_SOON_S = 2.0
_LATER_S = {"train on a cluster": 20.0}  # its groups save one checkpoint
_TIMEOUT_S = 60.0
# The last: within Python's own start or end, which a shell shows as the second.
_EXPECTED = (0, end_signals.EXIT_SIGNAL + signal.SIGINT, -signal.SIGINT)

SCENARIOS = (
    # No command of its own: who calls it has his own way with signals.
    *(each for each in kill_test.SCENARIOS if each.name != "sample set"),
    kill_test.Scenario(
        "doctor",
        lambda i, o: (
            *("-m", "mtssl_tf.doctor", f"--images={i / 'images'}"),
            f"--videos={i / 'videos'}",
        ),
        kill_digests.hash_files,
    ),
)


@dataclasses.dataclass
class Outcome:
    """What came of a scenario.

    Attributes:
        name: of the scenario.
        undisturbed_s: seconds that it takes when nobody presses anything.
        times: Ctrl-C was pressed.
        ends_s: seconds from then to the end, each time.
        wrong: what must not be, in words.
    """

    name: str
    undisturbed_s: float = 0.0
    times: int = 0
    ends_s: list[float] = dataclasses.field(default_factory=list)
    wrong: list[str] = dataclasses.field(default_factory=list)


_FLAGS = scenarios.define_flags("times", "For each.", SCENARIOS)


def main(argv: Sequence[str]) -> int:
    """Runs the scenarios; 1 where one does not end as it should."""
    return command.run("tools.interrupt_test", __doc__, _FLAGS, argv, _work)


def _work(values: flags.FlagValues) -> int:
    if end_signals.is_deaf_to(signal.SIGINT):
        # As a script's background is; the commands would be deaf, too.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    outcomes = scenarios.try_all(
        values,
        SCENARIOS,
        kill_test.build_inputs,
        lambda scenario, inputs, out: interrupt(
            scenario, inputs, out, values.times, values.seed
        ),
        as_table,
        RESULT_FILE,
    )
    return int(any(outcome.wrong for outcome in outcomes))


def interrupt(
    scenario: kill_test.Scenario,
    inputs: pathlib.Path,
    out: pathlib.Path,
    times: int,
    seed: int,
) -> Outcome:
    """Runs a command undisturbed, interrupted, and to its end again."""
    outcome = Outcome(scenario.name)
    rng = random.Random(f"{seed} {scenario.name}")
    folder = out / scenario.name.replace(" ", "_")
    shutil.rmtree(folder, ignore_errors=True)
    started = time.monotonic()
    _run_to_end(scenario, inputs, folder / "undisturbed", outcome)
    outcome.undisturbed_s = round(time.monotonic() - started, 1)
    while outcome.times < times and len(outcome.wrong) < 5:
        # Half of them go on from where the one before was stopped.
        if rng.random() < 0.5:
            shutil.rmtree(folder / "stopped", ignore_errors=True)
        if not (folder / "stopped").exists():
            (folder / "stopped").mkdir(parents=True)
        if not _interrupt_once(scenario, inputs, folder, outcome, rng):
            shutil.rmtree(folder / "stopped")
    if not outcome.wrong and (folder / "stopped").exists():
        is_whole = scenario.whole and (folder / "stopped" / scenario.whole)
        if not is_whole or not is_whole.exists():
            _run_to_end(scenario, inputs, folder / "stopped", outcome)
    return outcome


def _run_to_end(
    scenario: kill_test.Scenario,
    inputs: pathlib.Path,
    folder: pathlib.Path,
    outcome: Outcome,
) -> None:
    if not folder.exists():
        folder.mkdir(parents=True)
    log = folder.parent / "log"
    failed = kill_test.run_to_end(scenario.command(inputs, folder), log)
    outcome.wrong += [failed] if failed else []


def _interrupt_once(
    scenario: kill_test.Scenario,
    inputs: pathlib.Path,
    folder: pathlib.Path,
    outcome: Outcome,
    rng: random.Random,
) -> bool:
    """Presses Ctrl-C; returns whether there is something to go on from."""
    log = folder / f"log{outcome.times}"
    log.unlink(missing_ok=True)
    process = kill_test.start(scenario.command(inputs, folder / "stopped"), log)
    after_s = rng.uniform(0.0, 1.05 * outcome.undisturbed_s)
    try:
        process.wait(after_s)
        return False
    except subprocess.TimeoutExpired:
        pressed = time.monotonic()
    if rng.random() < 0.5:
        process.send_signal(signal.SIGINT)
    else:
        os.killpg(process.pid, signal.SIGINT)
    try:
        code = process.wait(_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        code = process.wait()
    end_s = round(time.monotonic() - pressed, 2)
    outcome.times += 1
    outcome.ends_s.append(end_s)
    said = log.read_text(errors="replace")
    soon_s = _LATER_S.get(scenario.name, _SOON_S)
    if end_s > soon_s or code not in _EXPECTED or "Traceback" in said:
        outcome.wrong.append(
            f"after {after_s:.1f} s: exit code {code} {end_s} s later, {log}"
        )
    return code != 0


def as_table(outcomes: Sequence[Outcome]) -> str:
    """Returns the outcomes as Markdown."""
    lines = [
        "| command | undisturbed, s | Ctrl-C | slowest end, s | wrong |",
        "|---|---:|---:|---:|---|",
    ]
    for each in outcomes:
        wrong = "; ".join(each.wrong) or "nothing"
        lines.append(
            f"| {each.name} | {each.undisturbed_s:.0f} | {each.times} "
            f"| {max(each.ends_s, default=0.0):.1f} | {wrong} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    command.end(main(sys.argv))
