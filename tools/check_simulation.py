"""Holds the simulator of distributed training to a store on this machine.

    python -m tools.check_simulation [--two_hosts] [--floats=4194304]

Groups of one worker each take steps with a real store; computing is a sleep,
since all share this machine's cores. The phases of a group alone give the
simulator its rates; then all groups run together, and their steps a second
stand beside those that it predicts. docs/distributed.md quotes the output.
"""

# ruff: noqa: E402
from __future__ import annotations

from mtssl_tf.process import end_signals

if __name__ == "__main__":
    end_signals.take()  # before the imports below, which take a while

from collections.abc import Sequence
import statistics
from typing import Any

from mtssl_tf.process import command
from tools import measure_store
from tools import private_hosts
from tools import simulate_store

_ROUNDS = 30  # ours, of a group alone


def compare(
    store: Any,
    compute_s: Sequence[float],
    duration_s: float,
    use_overlap: bool = False,
) -> list[tuple[float, float]]:
    """Returns measured and predicted steps a second of each group."""
    import ray

    from tools import exchange_worker

    here = ray.get_runtime_context().get_node_id()
    there = private_hosts.other_node()
    workers = [
        exchange_worker.start_worker(store, task, there or here)
        for task in store.tasks
    ]
    for worker in workers:
        ray.get(worker.exchange_times.remote(exchange_worker.WARM_UP))
    rounds = [ray.get(workers[0].exchange.remote()) for _ in range(_ROUNDS)]
    measured = ray.get(
        [
            worker.keep_on.remote(each, duration_s, use_overlap)
            for worker, each in zip(workers, compute_s)
        ]
    )
    predicted = simulate_store.simulate(
        [
            simulate_store.Group(task, each, 1)
            for task, each in zip(store.tasks, compute_s)
        ],
        _store(store.num_floats, rounds, bool(there), use_overlap),
        duration_s,
    )
    return list(zip(measured, predicted.values()))


def _store(
    num_floats: int,
    rounds: Sequence[Sequence[float]],
    is_on_two_hosts: bool,
    use_overlap: bool,
) -> Any:
    """Returns a store that takes as long as a group alone did."""
    stage, commit, begin, fetch = map(statistics.median, zip(*rounds))
    num_bytes = 4 * num_floats
    # The way between hosts is what others may be in; on one host all of it is
    # each worker's own copying.
    whole = num_bytes / ((stage + fetch) / 2)
    copy, transfer = whole, float("inf")
    if is_on_two_hosts:
        copy, transfer = float("inf"), whole
    rates = simulate_store.Rates(
        copy, transfer, num_floats / commit, num_bytes / begin
    )
    return simulate_store.Store(
        num_floats, 1, float("inf"), rates, use_overlap=use_overlap
    )


def main() -> None:
    """Prints the comparison."""
    parser = command.Parser(prog="python -m tools.check_simulation")
    parser.add_argument("--floats", type=int, default=4_194_304)
    parser.add_argument("--compute_s", default="0.1,0.3")
    parser.add_argument("--duration_s", type=float, default=15.0)
    parser.add_argument("--two_hosts", action="store_true")
    parser.add_argument("--overlap", action="store_true")
    flags = parser.parse_args()
    compute_s = [float(each) for each in flags.compute_s.split(",")]
    setting = "two_hosts" if flags.two_hosts else "one_host"
    with measure_store.connected(setting, "local"):
        from tools import exchange_worker

        store = exchange_worker.start_store(
            flags.floats, [f"group {n}" for n in range(len(compute_s))]
        )
        found = compare(store, compute_s, flags.duration_s, flags.overlap)
    for each, (measured, predicted) in zip(compute_s, found):
        print(
            f"computing {each:.2f} s: {measured:.2f} steps/s measured, "
            f"{predicted:.2f} predicted ({measured / predicted:.2f})"
        )


if __name__ == "__main__":
    command.end(command.call("tools.check_simulation", main))
