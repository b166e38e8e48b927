"""What the exchange with the store costs, simulated.

    python -m tools.simulate_store

A fluid simulation. Every group fetches the trunk, once a host, computes, sums
its gradient and stages it; the shards apply it and put the new trunk into
shared memory. Groups that are in the same part of the store at the same time
get equal shares of it. The table is in `docs/distributed.md`.
"""

# ruff: noqa: E402
from __future__ import annotations

from mtssl_tf.process import end_signals

if __name__ == "__main__":
    end_signals.take()  # before the imports below, which take a while

from collections.abc import Sequence
import dataclasses
import json
import pathlib
import sys

from absl import flags

from mtssl_tf.process import command

NAME = "tools.simulate_store"
_FLOAT, _BFLOAT16 = 4, 2  # bytes
_GBIT = 1e9 / 8  # bytes
_TRUNK = 27_558_016  # floats: ResNet-101 through block 3, trainable
_MIN_WORK = 1e-12
_COSTS = pathlib.Path(__file__).with_name("paper_costs.json")


@dataclasses.dataclass(frozen=True)
class Group:
    """One task's workers.

    Attributes:
        name: of the task.
        compute_s: seconds of a step without any exchange.
        num_hosts: that its workers are on.
    """

    name: str
    compute_s: float
    num_hosts: int


@dataclasses.dataclass(frozen=True)
class Rates:
    """What one host can do.

    Attributes:
        copy: bytes per second into shared memory and out of it.
        transfer: bytes per second that Ray sends, and that it takes in.
        apply: floats per second that a shard's RMSProp updates.
        version: bytes per second of the new trunk that a shard puts.
    """

    copy: float
    transfer: float
    apply: float
    version: float


@dataclasses.dataclass(frozen=True)
class Store:
    """The store and the network between it and the workers.

    Attributes:
        num_floats: of the trunk.
        num_shards: each on a host of its own.
        link: bytes per second of a host's network, each way.
        rates: of every host.
        gradient_bytes: of each number of a gradient.
        use_overlap: whether the exchange goes on beside the next step.
    """

    num_floats: int
    num_shards: int
    link: float
    rates: Rates
    gradient_bytes: int = _FLOAT
    use_overlap: bool = False


@dataclasses.dataclass(frozen=True)
class Phase:
    """A part of a step.

    Attributes:
        work: seconds that it takes where nobody is in its way.
        part: of the store that it needs; '' for the group's own hosts.
        share: of that part that it takes up where nobody is in its way.
    """

    work: float
    part: str = ""
    share: float = 1.0


def reduce_s(group: Group, store: Store) -> float:
    """Returns the seconds of the sum over a group's hosts."""
    # A ring passes every byte about twice.
    bytes_passed = 2 * _FLOAT * store.num_floats / group.num_hosts
    return (group.num_hosts - 1) * bytes_passed / store.link


def phases_of(group: Group, store: Store) -> list[list[Phase]]:
    """Returns a step as one chain of phases, or as two beside each other."""
    shards, hosts, rates = store.num_shards, group.num_hosts, store.rates
    trunk = store.num_floats * _FLOAT
    gradient = store.num_floats * store.gradient_bytes
    way = min(store.link, rates.transfer)
    busy = min(hosts, shards) / shards
    fresh = [
        Phase(trunk / shards / rates.version, "shard"),
        # Into each host, and out of the shards once for each host.
        Phase(trunk / way * max(1, hosts / shards), "out", busy),
        Phase(trunk / rates.copy),
    ]
    compute = [Phase(group.compute_s), Phase(reduce_s(group, store))]
    commit = [
        Phase(gradient / rates.copy),
        Phase(gradient / way / min(hosts, shards), "in", busy),
        Phase(store.num_floats / shards / rates.apply, "shard"),
    ]
    if store.use_overlap:
        return [compute, commit + fresh]
    return [compute + commit + fresh]


class _Chain:
    """Phases that a group is somewhere in."""

    def __init__(self, phases: Sequence[Phase]) -> None:
        self._phases = phases
        self.restart()

    @property
    def is_done(self) -> bool:
        return self._place == len(self._phases)

    @property
    def phase(self) -> Phase:
        return self._phases[self._place]

    def restart(self) -> None:
        self._place, self.left = 0, self._phases[0].work

    def advance(self, work: float) -> None:
        self.left -= work
        if self.left <= _MIN_WORK:
            self._place += 1
            if not self.is_done:
                self.left = self.phase.work


def simulate(
    groups: Sequence[Group], store: Store, duration_s: float
) -> dict[str, float]:
    """Returns each group's steps per second over some simulated time."""
    chains = {
        group.name: [_Chain(phases) for phases in phases_of(group, store)]
        for group in groups
    }
    done = dict.fromkeys(chains, 0)
    now = 0.0
    while now < duration_s:
        active = [c for each in chains.values() for c in each if not c.is_done]
        rates = [_rate(chain.phase, active) for chain in active]
        step_s = min(chain.left / r for chain, r in zip(active, rates))
        now += step_s
        for chain, rate in zip(active, rates):
            chain.advance(step_s * rate)
        for name, each in chains.items():
            if all(chain.is_done for chain in each):
                done[name] += 1
                for chain in each:
                    chain.restart()
    return {name: count / now for name, count in done.items()}


def _rate(phase: Phase, active: Sequence[_Chain]) -> float:
    if not phase.part:
        return 1.0
    num_there = sum(chain.phase.part == phase.part for chain in active)
    return min(1.0, 1.0 / num_there / phase.share)


def paper_groups(speed_up: float, gpus_per_host: int) -> list[Group]:
    """Returns the paper's 64 GPUs as a group for each of its tasks.

    `paper_costs.json` has what the appendix says of each task's cost.

    Args:
        speed_up: how many times a K40's speed a GPU has.
        gpus_per_host: each host fetches the trunk once.
    """
    costs = json.loads(_COSTS.read_text())
    hours = costs["k40_hours_per_epoch"]
    return [
        Group(
            name,
            costs["batch_per_gpu"]
            * each
            * 3600
            / costs["pictures_per_epoch"]
            / speed_up,
            costs["num_gpus"] // len(hours) // gpus_per_host,
        )
        for name, each in hours.items()
    ]


def paper_rates(gpus_per_host: int) -> Rates:
    """Returns one host's rates, as measured by `tools.measure_store`.

    Ray sends with two threads, and with one for every four cores where that
    is more, up to eight: a host of one GPU is taken to have 8 cores, and one
    of eight at least 32. That Ray's rate grows with its threads is assumed.
    """
    num_threads = 2 if gpus_per_host == 1 else 8
    return Rates(9.0e9, num_threads * 1.38e9, 0.83e9, 6.8e9)


def main(argv: Sequence[str]) -> int:
    """Runs the command and returns its exit code."""
    return command.run(NAME, __doc__, flags.FlagValues(), argv, _work)


def _work(values: flags.FlagValues) -> None:
    """Prints the table of docs/distributed.md."""
    del values  # it has no flags of its own
    print("GPU x K40 | GPUs a host | shards | Gbit/s | how | task: share kept")
    for speed_up in (1, 20):
        for gpus, shards in ((1, 1), (1, 4), (8, 4)):
            for gbit in (10, 100):
                for how, size, use_overlap in (
                    ("plain", _FLOAT, False),
                    ("bfloat16", _BFLOAT16, False),
                    ("overlap, bfloat16", _BFLOAT16, True),
                ):
                    store = Store(
                        _TRUNK,
                        shards,
                        gbit * _GBIT,
                        paper_rates(gpus),
                        size,
                        use_overlap,
                    )
                    kept = _share_kept(paper_groups(speed_up, gpus), store)
                    print(
                        f"{speed_up} | {gpus} | {shards} | {gbit} | {how} | "
                        + ", ".join(f"{n} {k:.0%}" for n, k in kept.items())
                    )


def _share_kept(groups: Sequence[Group], store: Store) -> dict[str, float]:
    """Returns each task's speed over that of its group without a store.

    The group would have to sum its gradient over its hosts all the same.
    """
    longest = max(group.compute_s for group in groups)
    rates = simulate(groups, store, 300 * longest)
    return {
        group.name: rates[group.name]
        * (group.compute_s + reduce_s(group, store))
        for group in groups
    }


if __name__ == "__main__":
    command.end(main(sys.argv))
