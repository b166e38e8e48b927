"""Commands that are run once, some at a time, each when what it needs is there.

A job is done when its mark is there, and what it made: the same jobs again go
on where they stopped. One that fails holds up those that need it, and no
others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
import contextlib
import dataclasses
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

from absl import logging

from mtssl_tf.files import json_file
from mtssl_tf.process import atomic_file
from mtssl_tf.process import cores
from mtssl_tf.process import end_signals
from mtssl_tf.process import gpus as gpus_lib
from mtssl_tf.process import local_map

_POLL_S = 0.2
_RESULT = "result"
# How many share one operation on the CPU: TensorFlow's and OpenMP's.
_THREADS = ("TF_NUM_INTRAOP_THREADS", "OMP_NUM_THREADS")
# Becomes a command that ends with the process that started it.
_ENDS_WITH = """
import os, sys
from mtssl_tf.process import local_map
local_map.end_with_parent(int(sys.argv[1]))
os.execvp(sys.argv[2], sys.argv[2:])
"""
_ROOT = pathlib.Path(__file__).resolve().parents[2]


@dataclasses.dataclass(frozen=True)
class Job:
    """A command.

    Attributes:
        name: of its log and its mark, with / between folders.
        command: makes it, once the jobs that it needs are done.
        needs: names of those.
        chain: name of what runs on one machine, one after another; '' is
            before all else.
        result: a file that it makes, below the folder; '' is none.
    """

    name: str
    command: Callable[[], Sequence[str]]
    needs: tuple[str, ...] = ()
    chain: str = ""
    result: str = ""


class Stopped(Exception):
    """A signal asked for the end; the commands have ended.

    Attributes:
        number: of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


@dataclasses.dataclass(frozen=True)
class Chain:
    """Jobs that run on one machine, one after another."""

    folder: pathlib.Path
    jobs: tuple[Job, ...]


def run_chain(chain: Chain) -> dict[str, str]:
    """Runs what is not done yet of a chain; returns what failed, and why."""
    runner = Runner(chain.folder, 1)
    runner.run(chain.jobs, lambda _: None)
    return runner.failures


class ClusterRunner:
    """Runs chains of jobs wherever there is room for one."""

    def __init__(self, folder: pathlib.Path, map_all: local_map.MapAll) -> None:
        """Takes a folder that all machines see, and what spreads chains."""
        self._folder = folder
        self._map_all = map_all
        self.failures: dict[str, str] = {}  # job -> why, in words

    def run(
        self, jobs: Sequence[Job], when_done: Callable[[Job], None]
    ) -> None:
        """Runs what is not done yet, chain by chain.

        Args:
            jobs: each after those that it needs, which are of its own chain or
                of the one before all else.
            when_done: is called with the last of each chain that has ended.
        """
        chains: dict[str, list[Job]] = {}
        for job in jobs:
            chains.setdefault(job.chain, []).append(job)
        first = chains.pop("", [])
        if first:
            self._spread([first], when_done)
        if not self.failures:
            self._spread(list(chains.values()), when_done)
            return
        for chain in chains.values():
            for job in chain:
                self.failures[job.name] = f"{first[0].name} failed"

    def _spread(
        self,
        chains: Sequence[Sequence[Job]],
        when_done: Callable[[Job], None],
    ) -> None:
        items = [Chain(self._folder, tuple(chain)) for chain in chains]
        for index, outcome in self._map_all(run_chain, items):
            jobs = items[index].jobs
            if isinstance(outcome, BaseException):
                outcome = {
                    job.name: f"{outcome}"
                    for job in jobs
                    if not is_done(self._folder, job.name)
                }
            for name, reason in outcome.items():
                logging.error("%s: %s", name, reason)
            self.failures |= outcome
            when_done(jobs[-1])


def is_done(folder: pathlib.Path, name: str) -> bool:
    """Returns whether a job has been done, now or in an earlier start."""
    try:
        mark = json_file.load_object(_mark(folder, name), "")
    except (FileNotFoundError, ValueError):  # none, or a damaged one
        return False
    result = mark.get(_RESULT)
    try:
        if result:
            json_file.load_object(folder / result, "")
    except (OSError, ValueError):  # gone, or torn: it is made again
        return False
    return True


def seconds_of(folder: pathlib.Path, name: str) -> float | None:
    """Returns how long a job took; None where that is not known."""
    try:
        return float(json_file.load(_mark(folder, name))["wall_time_s"])
    except (LookupError, OSError, TypeError, ValueError):
        return None


def _mark(folder: pathlib.Path, name: str) -> pathlib.Path:
    return folder / "done" / f"{name}.json"


@dataclasses.dataclass(frozen=True)
class _Running:
    """A job whose command has been started.

    Attributes:
        job: that it is of.
        process: of the command.
        start_s: by the monotonic clock.
        gpu: that it alone has, if any.
    """

    job: Job
    process: subprocess.Popen
    start_s: float
    gpu: str | None


class Runner:
    """Runs jobs in a folder, which has their logs and marks."""

    def __init__(
        self,
        folder: pathlib.Path,
        num_at_once: int,
        gpus: Sequence[str] = (),
    ) -> None:
        """Runs nothing yet.

        Args:
            folder: of logs and marks.
            num_at_once: jobs.
            gpus: names of at least as many, of which each job has one: it
                takes all memory of those it sees. With none all see what there
                is.
        """
        self._folder = folder
        self._num_at_once = num_at_once
        self._free_gpus = list(gpus)
        self._running: dict[str, _Running] = {}
        self._signal = 0
        self.failures: dict[str, str] = {}  # job -> why, in words

    def is_done(self, name: str) -> bool:
        """Returns whether a job has been done, now or in an earlier start."""
        return is_done(self._folder, name)

    def log_of(self, name: str) -> pathlib.Path:
        """Returns where a job's output goes."""
        return self._folder / "logs" / f"{name}.log"

    def run(
        self, jobs: Sequence[Job], when_done: Callable[[Job], None]
    ) -> None:
        """Runs what is not done yet, in order where that can be.

        Args:
            jobs: each after those that it needs.
            when_done: is called after each that has been done.

        Raises:
            Stopped: by a signal, once the commands have ended.
        """
        waiting = [job for job in jobs if not self.is_done(job.name)]
        by_name = {job.name: job for job in jobs}
        with self._passing_signals_on():
            while (waiting and not self._signal) or self._running:
                if not self._signal:
                    waiting = self._start_some(waiting)
                for name in self._ended():
                    if self.is_done(name):
                        when_done(by_name[name])
                time.sleep(_POLL_S)
        if self._signal:
            raise Stopped(self._signal)

    def _start_some(self, waiting: list[Job]) -> list[Job]:
        """Starts what may start, and returns what is left to wait."""
        left = []
        for job in waiting:
            failed = [name for name in job.needs if name in self.failures]
            if failed:
                self.failures[job.name] = f"{failed[0]} failed"
            elif (
                not self._signal
                and len(self._running) < self._num_at_once
                and all(map(self.is_done, job.needs))
            ):
                self._start(job)
            else:
                left.append(job)
        return left

    def _start(self, job: Job) -> None:
        try:
            command = list(job.command())
        except OSError as error:
            self.failures[job.name] = str(error)
            return
        gpu = self._free_gpus.pop(0) if self._free_gpus else None
        log = self.log_of(job.name)
        log.parent.mkdir(parents=True, exist_ok=True)
        logging.info("%s", job.name)
        with open(log, "ab") as file:
            process = subprocess.Popen(
                # Not by `preexec_fn`, which runs between fork and exec of a
                # process that may have threads.
                [sys.executable, "-c", _ENDS_WITH, str(os.getpid()), *command],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                env=self._environment(gpu),
                # Ctrl-C comes from here, once, and not from the terminal too.
                start_new_session=True,
            )
        missed = self._signal  # which came before the command is known here
        self._running[job.name] = _Running(job, process, time.monotonic(), gpu)
        if missed:
            process.send_signal(missed)

    def _environment(self, gpu: str | None) -> dict[str, str]:
        # On another machine a command may begin in any folder.
        variables = {**os.environ, "PYTHONPATH": _python_path()}
        if gpu is not None:
            variables[gpus_lib.VISIBLE] = gpu
        if self._num_at_once > 1:
            # Each takes all cores otherwise, and waits for the others' threads.
            threads = str(max(1, cores.count() // self._num_at_once))
            for name in _THREADS:
                variables.setdefault(name, threads)
        return variables

    def _ended(self) -> Iterator[str]:
        """Yields the jobs whose command has ended."""
        for name, running in list(self._running.items()):
            code = running.process.poll()
            if code is None:
                continue
            del self._running[name]
            if running.gpu is not None:
                self._free_gpus.append(running.gpu)
            if code == 0:
                seconds = round(time.monotonic() - running.start_s, 1)
                mark = {"wall_time_s": seconds, _RESULT: running.job.result}
                text = json.dumps(mark) + "\n"
                atomic_file.write_text(_mark(self._folder, name), text)
            elif not self._signal:
                self.failures[name] = (
                    f"exit code {code}: {_last_line(self.log_of(name))}"
                )
                logging.error("%s: %s", name, self.failures[name])
            yield name

    @contextlib.contextmanager
    def _passing_signals_on(self) -> Iterator[None]:
        """Has the commands end as they do by themselves: training saves."""

        def pass_on(number: int, _: object) -> None:
            self._signal = number
            for running in self._running.values():
                running.process.send_signal(number)

        former = {
            number: signal.signal(number, pass_on)
            for number in end_signals.heard()
        }
        try:
            yield
        finally:
            for number, handler in former.items():
                signal.signal(number, handler)


def _last_line(log: pathlib.Path) -> str:
    lines = log.read_text(errors="backslashreplace").strip().splitlines()
    return lines[-1] if lines else "it said nothing"


def _python_path() -> str:
    former = os.environ.get("PYTHONPATH")
    return os.pathsep.join([str(_ROOT), *([former] if former else [])])
