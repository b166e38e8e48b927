"""Takes hosts, links and processes from a cluster; its run must end the same.

    python -m tools.host_faults --hosts=SCRIPT --out=DIR [--times=10] \
        [--only=host,link,process] [--seed=0]

A run of the paper's four tasks over three hosts (`tools/private_hosts.py`),
with the head and the command on the first, in turns, so that it is one run to
the bit. Once undisturbed; then, each time in a fresh folder, at a random moment
or after random steps, since imports take most of its time:

- `host`: one of the other hosts loses power and stays away;
- `link`: the network of one is down for 1 to 30 s;
- `process`: a shard, the coordinator, a worker or Ray's head gets SIGKILL.

The command must come to its end. Where it ends with an error, as it does
without the head, the same command on a new Ray must. What it has made is then
compared with the undisturbed run to the bit, times apart: nothing was lost and
nothing applied twice. The result is a table, and OUT/host_faults.json; exit
code 1 where anything differs.
"""

# ruff: noqa: E402
from __future__ import annotations

from mtssl_tf.process import end_signals

if __name__ == "__main__":
    end_signals.take()  # before the imports below, which take a while

from collections.abc import Callable, Iterator, Sequence
import contextlib
import dataclasses
import functools
import json
import os
import pathlib
import random
import shutil
import subprocess
import sys
import time

from absl import flags

from mtssl_tf.process import command
from tools import kill_digests
from tools import kill_test
from tools import private_hosts
from tools import scenarios

RESULT_FILE = "host_faults.json"
_STATUS_FILE = "status.json"
_NUM_HOSTS = 3
# For Ray's books: two shards and four workers take a CPU each, so that they
# lie on two hosts, and fit on any two.
_NUM_CPUS = 4
_TIMEOUT_S = 900.0
_MAX_CUT_S = 30.0
_HEAD = "Ray's head"
_ACTORS = "ray::(Shard|Coordinator|_Worker)"  # as `ps` shows them
_WAIT_FOR_HOSTS = """
import sys, time
import ray
ray.init(address=sys.argv[1])
while len([n for n in ray.nodes() if n["Alive"]]) < int(sys.argv[2]):
    time.sleep(0.5)
"""
# ours: enough that all faults fall into the training of four groups.
_FLAGS_OF_RUN = (
    *("--steps=24", "--set=train.save_every=4"),
    *("--mode=turns", "--store_shards=2"),
)


@dataclasses.dataclass
class Cluster:
    """Hosts with a Ray, and what runs there.

    Attributes:
        script: of the hosts.
        hosts: the first one has the head.
        environment: of all that is started.
        workdir: of the run.
    """

    script: str
    hosts: list[private_hosts.Host]
    environment: dict[str, str]
    workdir: pathlib.Path

    def call(self, *arguments: str) -> None:
        """Calls the script that made the hosts."""
        subprocess.run(
            [self.script, *arguments], check=True, env=self.environment
        )

    def places(self) -> dict[str, int]:
        """Returns the process id of each role, on whichever host it is."""
        try:
            status = json.loads((self.workdir / _STATUS_FILE).read_text())
        except FileNotFoundError:
            return {}
        return {name: place["pid"] for name, place in status["roles"].items()}

    def kill(self, test: str, pid: str) -> None:
        """Sends SIGKILL on the first host where a test of the shell holds."""
        for host in self.hosts:
            words = [*host.prefix, "sh", "-c", f"{test} && kill -9 {pid}"]
            done = subprocess.run(
                words, env=self.environment, capture_output=True
            )
            if done.returncode == 0:
                return


@dataclasses.dataclass(frozen=True)
class Fault:
    """What happens to a cluster.

    Attributes:
        name: in the table.
        strike: (cluster, random numbers) -> what was struck.
    """

    name: str
    strike: Callable[[Cluster, random.Random], str]


@dataclasses.dataclass
class Outcome:
    """What came of a kind of fault.

    Attributes:
        name: of the fault.
        struck: what each one hit, with the second of the run.
        restarts: how often the command had to be started again.
        differing: results that differ, by name.
        failed: what did not come to its end.
    """

    name: str
    struck: list[str] = dataclasses.field(default_factory=list)
    restarts: int = 0
    differing: list[str] = dataclasses.field(default_factory=list)
    failed: list[str] = dataclasses.field(default_factory=list)


def _lose_host(cluster: Cluster, rng: random.Random) -> str:
    host = _other_host(rng)
    cluster.call("kill", host)
    return host


def _cut_link(cluster: Cluster, rng: random.Random) -> str:
    host, seconds = _other_host(rng), rng.uniform(1.0, _MAX_CUT_S)
    cluster.call("cut", host)
    time.sleep(seconds)
    cluster.call("mend", host)
    return f"{host} for {seconds:.0f} s"


def _other_host(rng: random.Random) -> str:
    """Returns one of those without the head."""
    return f"h{rng.randint(2, _NUM_HOSTS)}"


def _kill_process(cluster: Cluster, rng: random.Random) -> str:
    places = cluster.places()
    name = rng.choice(sorted([*places, _HEAD]))
    if name == _HEAD:
        cluster.kill("pid=$(pgrep gcs_server)", "$pid")
    else:
        pid = str(places[name])
        # Another host's process of that number may be one of Ray's own, with
        # which that host is lost.
        cluster.kill(f"grep -qE '{_ACTORS}' /proc/{pid}/cmdline", pid)
    return name


FAULTS = (
    Fault("host", _lose_host),
    Fault("link", _cut_link),
    Fault("process", _kill_process),
)

_FLAGS = scenarios.define_flags("times", "Of each kind.", FAULTS)
_HOSTS = command.define_path(
    "hosts", "", "Script that makes hosts; takes root.", _FLAGS
)


def main(argv: Sequence[str]) -> int:
    """Tries the faults; 1 where a run has another end."""
    return command.run("tools.host_faults", __doc__, _FLAGS, argv, _work)


def _work(values: flags.FlagValues) -> int:
    if not _HOSTS.value:
        raise ValueError(
            "Give --hosts=SCRIPT: it knows `start 3`, `on h1 COMMAND...`, "
            "`kill h2`, `cut h2`, `mend h2` and `stop`."
        )
    outcomes = scenarios.try_all(
        values,
        FAULTS,
        kill_test.build_inputs,
        lambda fault, inputs, out: _try(
            fault, inputs, out, values.times, values.seed
        ),
        as_table,
        RESULT_FILE,
    )
    return int(any(each.failed or each.differing for each in outcomes))


@dataclasses.dataclass(frozen=True)
class _Undisturbed:
    digests: dict[str, str]
    seconds: float
    num_lines: int  # of metrics


@functools.cache
def _run_undisturbed(inputs: pathlib.Path, out: pathlib.Path) -> _Undisturbed:
    folder = _new_folder(out / "undisturbed")
    with _cluster(folder) as cluster:
        start = time.monotonic()
        with _ray(cluster) as address:
            code = _wait(_start(cluster, address, inputs, folder))
        seconds = time.monotonic() - start
    if code != 0:
        raise OSError(f"The undisturbed run ended with {code}; see {folder}.")
    return _Undisturbed(
        kill_digests.hash_run(folder), seconds, kill_test.count_lines(folder)
    )


def _try(
    fault: Fault,
    inputs: pathlib.Path,
    out: pathlib.Path,
    times: int,
    seed: int,
) -> Outcome:
    """Strikes some runs, one after another, with one kind of fault."""
    undisturbed = _run_undisturbed(inputs, out)
    rng = random.Random(f"{seed} {fault.name}")
    outcome = Outcome(fault.name)
    differing: set[str] = set()
    while len(outcome.struck) < times:
        count = len(outcome.struck)
        name = f"{fault.name}_{count}"
        folder = _new_folder(out / name)
        with _cluster(folder) as cluster, _ray(cluster) as address:
            process = _start(cluster, address, inputs, folder)
            start = time.monotonic()
            delay_s = rng.uniform(0.0, undisturbed.seconds)
            if count % 2:
                num_lines = rng.randint(1, undisturbed.num_lines)
                kill_test.wait_for_lines(process, folder, num_lines)
                delay_s = rng.uniform(0.0, 1.0)
            try:
                code: int | None = process.wait(delay_s)  # too fast for it
            except subprocess.TimeoutExpired:
                passed_s = time.monotonic() - start
                struck = fault.strike(cluster, rng)
                outcome.struck.append(f"{struck}, after {passed_s:.0f} s")
                code = _wait(process)
        if code != 0:
            # A new cluster: of the old one nothing need be left.
            outcome.restarts += 1
            with _cluster(folder) as cluster, _ray(cluster) as address:
                code = _wait(_start(cluster, address, inputs, folder))
        if code != 0:
            outcome.failed.append(f"{name}: exit code {code}")
            if len(outcome.struck) == count:
                break  # it fails without a fault
            continue
        differing |= kill_test.differing(
            undisturbed.digests, kill_digests.hash_run(folder)
        )
        outcome.differing = sorted(differing)
        if len(outcome.struck) > count:
            print(f"{name}: {outcome.struck[-1]}", flush=True)
    return outcome


@contextlib.contextmanager
def _cluster(folder: pathlib.Path) -> Iterator[Cluster]:
    """Makes hosts without a Ray."""
    with private_hosts.namespaces(_HOSTS.value, folder, _NUM_HOSTS) as hosts:
        environment = {
            **os.environ,
            **private_hosts.make_token(folder),
            "HOSTS_DIR": str(folder / "hosts"),
            "RAY_USAGE_STATS_ENABLED": "0",
        }
        yield Cluster(_HOSTS.value, hosts, environment, folder / "run")


@contextlib.contextmanager
def _ray(cluster: Cluster) -> Iterator[str]:
    """Starts Ray on all hosts; yields its address once all have joined."""
    with private_hosts.ray_over(
        cluster.hosts, _NUM_CPUS, cluster.environment
    ) as address:
        words = [sys.executable, "-c", _WAIT_FOR_HOSTS]
        subprocess.run(
            [*cluster.hosts[0].prefix, *words, address, str(_NUM_HOSTS)],
            env=cluster.environment,
            check=True,
            timeout=_TIMEOUT_S,
            capture_output=True,
        )
        yield address


def _start(
    cluster: Cluster, address: str, inputs: pathlib.Path, folder: pathlib.Path
) -> subprocess.Popen:
    words = kill_test.train_command(
        inputs, folder, *_FLAGS_OF_RUN, f"--cluster={address}"
    )
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(
            [*cluster.hosts[0].prefix, sys.executable, *words],
            env=cluster.environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )


def _wait(process: subprocess.Popen) -> int | None:
    """Returns the exit code; None of who had to be killed."""
    try:
        return process.wait(_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return None


def _new_folder(folder: pathlib.Path) -> pathlib.Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def as_table(outcomes: Sequence[Outcome]) -> str:
    """Returns the outcomes as Markdown."""
    lines = [
        "| taken | times | command started again | end |",
        "|---|---:|---:|---|",
    ]
    for each in outcomes:
        end = "; ".join(each.failed) or "equal to the bit"
        if each.differing:
            end = f"{len(each.differing)} differ: {each.differing[:3]}"
        lines.append(
            f"| {each.name} | {len(each.struck)} | {each.restarts} | {end} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    command.end(main(sys.argv))
