"""Times the exchange of a gradient for a trunk with the store.

    python -m tools.measure_store [--json=FILE] [--soak] [--hosts=SCRIPT]

One exchange: a worker stages the gradient of ResNet-101's trunk, the
coordinator numbers it, the shard applies it, and the worker copies the new
trunk out. Plain TCP for the same bytes both ways, between the same places,
takes turns with it. `two_hosts` are two raylets on this machine, or two
network namespaces made by a script. docs/distributed.md quotes the output.
"""

# ruff: noqa: E402
from __future__ import annotations

from mtssl_tf.process import end_signals

if __name__ == "__main__":
    end_signals.take()  # before the imports below, which take a while

import argparse
from collections.abc import Iterator
import contextlib
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
from typing import Any

from mtssl_tf.distribute import options as options_lib
from mtssl_tf.distribute import start_ray
from mtssl_tf.process import command
from mtssl_tf.process import cores
from tools import private_hosts

FLOATS = 27_558_016  # ResNet-101 through block 3, trainable
SETTINGS = ("one_host", "two_hosts", "two_hosts_tls")
NUM_CPUS = 4  # for Ray's books: shard and workers ask for one each
_ROUNDS = 15  # ours
_SOAK = "soak"
_SOAK_TASKS = ("first", "second", "third")
_SOAK_EXCHANGES, _SOAK_SAMPLES = 1000, 10  # ours


@contextlib.contextmanager
def connected(setting: str, address: str) -> Iterator[None]:
    """Starts a private Ray for a setting, or joins a cluster of two hosts."""
    with start_ray.connected(address, NUM_CPUS, allows_open=True):
        is_one_host = setting in ("one_host", _SOAK)
        if is_one_host or address != options_lib.LOCAL:
            yield
            return
        with private_hosts.second_raylet(NUM_CPUS):
            yield


def time_exchange(store: Any, num_rounds: int = _ROUNDS) -> dict[str, Any]:
    """Returns seconds of an exchange and of TCP, from another host if any."""
    import ray

    from tools import exchange_worker

    here = ray.get_runtime_context().get_node_id()
    there = private_hosts.other_node() or here
    worker = exchange_worker.start_worker(store, store.tasks[0], there)
    ray.get(worker.connect.remote(exchange_worker.start_echo(store)))
    rounds, tcp = [], []
    for _ in range(exchange_worker.WARM_UP + num_rounds):
        rounds.append(ray.get(worker.exchange.remote()))
        tcp.append(ray.get(worker.time_tcp.remote()))
    rounds = rounds[exchange_worker.WARM_UP :]
    ours = statistics.median(map(sum, rounds))
    reference = statistics.median(tcp[exchange_worker.WARM_UP :])
    return {
        "ours": ours,
        "reference": reference,
        "ratio": ours / reference,
        "phases": dict(
            zip(exchange_worker.PHASES, map(statistics.median, zip(*rounds)))
        ),
    }


def soak(store: Any, num_exchanges: int) -> dict[str, Any]:
    """Returns what a worker of each task on one host do and leave behind.

    Memory is in MB: what there is at the end beyond what there was after a
    tenth of the exchanges. Live versions are objects of Ray's while nobody
    exchanges anything.
    """
    import ray

    from mtssl_tf.distribute import actors
    from tools import exchange_worker

    pids = {
        name: ray.get(actor.__ray_call__.remote(actors.where))["pid"]
        for name, actor in (
            ("shard", store.shards[0]),
            ("coordinator", store.coordinator),
        )
    }
    here = ray.get_runtime_context().get_node_id()
    workers = [
        exchange_worker.start_worker(store, task, here) for task in store.tasks
    ]
    each = max(1, num_exchanges // _SOAK_SAMPLES // len(workers))
    rates, held = [], []
    for _ in range(_SOAK_SAMPLES):
        rates.append(
            sum(ray.get([w.exchange_times.remote(each) for w in workers]))
        )
        sizes = {name: _private_mb(pid) for name, pid in pids.items()}
        held.append({**sizes, **exchange_worker.object_store()})
    return {
        "exchanges_per_s": statistics.median(rates),
        "exchanges": each * len(workers) * _SOAK_SAMPLES,
        "growth_mb": {
            name: held[-1][name] - held[0][name]
            for name in ("shard", "coordinator", "shm")
        },
        "live_versions": max(sample["objects"] for sample in held),
        "held": held,
    }


def _private_mb(pid: int) -> float:
    """Returns the memory that a process shares with nobody, in MB."""
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) / 1024
    return 0.0


def main() -> None:
    """Prints what was measured, as JSON."""
    parser = command.Parser(prog="python -m tools.measure_store")
    parser.add_argument(
        "--json", type=command.path, help="also write it to this file"
    )
    parser.add_argument("--soak", action="store_true")
    parser.add_argument(
        "--hosts",
        default=os.environ.get("MTSSL_HOSTS", ""),
        help="a script that makes hosts out of network namespaces",
    )
    parser.add_argument("--floats", type=int, default=FLOATS)
    parser.add_argument("--shards", type=int, default=1)
    parser.add_argument("--setting", choices=(*SETTINGS, _SOAK))
    parser.add_argument("--cluster", default=options_lib.LOCAL)
    flags = parser.parse_args()
    if flags.setting:
        with connected(flags.setting, flags.cluster):
            from tools import exchange_worker

            is_soak = flags.setting == _SOAK
            store = exchange_worker.start_store(
                flags.floats,
                _SOAK_TASKS if is_soak else _SOAK_TASKS[:1],
                flags.shards,
            )
            found = (
                soak(store, _SOAK_EXCHANGES)
                if is_soak
                else time_exchange(store)
            )
        pathlib.Path(flags.json).write_text(json.dumps(found))
        return
    text = json.dumps(_measure(flags), indent=1)
    print(text)
    if flags.json:
        pathlib.Path(flags.json).write_text(text + "\n")


def _measure(flags: argparse.Namespace) -> dict[str, Any]:
    """Measures each setting in a process of its own: Ray's settings differ."""
    found: dict[str, Any] = {}
    found["floats"], found["shards"] = flags.floats, flags.shards
    found["cores"], found["load_before"] = cores.count(), os.getloadavg()[0]
    found["two_hosts_are"] = (
        f"network namespaces of {flags.hosts}"
        if flags.hosts
        else "two raylets on this machine"
    )
    if flags.soak:
        found[_SOAK] = _run(flags, _SOAK)
    else:
        for setting in SETTINGS:
            found[f"exchange/{setting}"] = _run(flags, setting)
    found["load_after"] = os.getloadavg()[0]
    return found


def _run(flags: argparse.Namespace, setting: str) -> dict[str, Any]:
    with (
        tempfile.TemporaryDirectory(prefix="mtssl-", dir="/tmp") as name,
        contextlib.ExitStack() as stack,
    ):
        folder = pathlib.Path(name)
        environment = dict(os.environ)
        prefix: tuple[str, ...] = ()
        address = options_lib.LOCAL
        hosts = []
        if flags.hosts and setting.startswith("two_hosts"):
            hosts = stack.enter_context(
                private_hosts.namespaces(flags.hosts, folder)
            )
            environment |= private_hosts.make_token(folder)
        if setting.endswith("tls"):
            ips = [host.ip for host in hosts] or [private_hosts.LOOPBACK]
            environment |= private_hosts.make_certificate(folder, ips)
        if hosts:
            address = stack.enter_context(
                private_hosts.ray_over(hosts, NUM_CPUS, environment)
            )
            prefix = hosts[0].prefix
        out = folder / "found.json"
        subprocess.run(
            [*prefix, sys.executable, "-m", "tools.measure_store"]
            + [f"--setting={setting}", f"--cluster={address}", f"--json={out}"]
            + [f"--floats={flags.floats}", f"--shards={flags.shards}"],
            env=environment,
            check=True,
        )
        return json.loads(out.read_text())


if __name__ == "__main__":
    command.end(command.call("tools.measure_store", main))
