"""What the exchange with the store costs, simulated.

    python -m tools.simulate_store

A fluid simulation: every group goes through compute, all-reduce, push, apply,
pull and a second all-reduce. Groups in the same phase share the store's link
or its processor in equal parts. The table is in `docs/distributed.md`.
"""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses
import json
import pathlib

_BYTES_PER_FLOAT = 4
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
        num_workers: processes, each on a machine of its own.
    """

    name: str
    compute_s: float
    num_workers: int


@dataclasses.dataclass(frozen=True)
class Store:
    """The store and the network between it and the workers.

    Attributes:
        num_floats: of the trunk.
        num_shards: each on a machine of its own.
        link: bytes per second of a machine's network, each way.
        push_rate: bytes per second that a shard can take in.
        pull_rate: bytes per second that a shard can give out.
        apply_rate: floats per second that a shard's RMSProp updates.
    """

    num_floats: int
    num_shards: int
    link: float
    push_rate: float
    pull_rate: float
    apply_rate: float

    @property
    def num_bytes(self) -> float:
        """Bytes of a gradient, and of the trunk."""
        return self.num_floats * _BYTES_PER_FLOAT


@dataclasses.dataclass(frozen=True)
class Phase:
    """A part of a step.

    Attributes:
        name: of the phase.
        work: seconds that it takes where nobody else is in it.
        is_shared: whether groups in this phase slow each other down.
    """

    name: str
    work: float
    is_shared: bool


def phases_of(group: Group, store: Store) -> list[Phase]:
    """Returns the phases of one step of a group."""
    size, shards, workers = store.num_bytes, store.num_shards, group.num_workers
    # A ring passes every byte about twice.
    reduce_s = 2 * (workers - 1) / workers * size / store.link
    push = min(workers * store.link, shards * min(store.link, store.push_rate))
    pull = min(workers * store.link, shards * min(store.link, store.pull_rate))
    return [
        Phase("compute", group.compute_s, False),
        Phase("reduce", reduce_s, False),
        Phase("push", size / push, True),
        Phase("apply", store.num_floats / (shards * store.apply_rate), True),
        # Each worker fetches its part, and passes it round the ring.
        Phase("pull", size / pull, True),
        Phase("share", reduce_s, False),
    ]


def simulate(
    groups: Sequence[Group],
    store: Store,
    duration_s: float,
    is_synchronous: bool = False,
) -> dict[str, float]:
    """Returns each group's steps per second.

    Args:
        groups: that share the store.
        store: with its network.
        duration_s: simulated time.
        is_synchronous: whether all wait before `apply` until all are there.
    """
    phases = {group.name: phases_of(group, store) for group in groups}
    place = {group.name: 0 for group in groups}
    left = {name: each[0].work for name, each in phases.items()}
    done = {name: 0 for name in phases}
    now = 0.0
    while now < duration_s:
        waiting = _waiting(phases, place) if is_synchronous else set()
        rates = {
            name: _rate(name, phases, place)
            for name in phases
            if name not in waiting
        }
        step = min(left[name] / rate for name, rate in rates.items())
        now += step
        for name, rate in rates.items():
            left[name] -= step * rate
            if left[name] <= _MIN_WORK:
                place[name] = (place[name] + 1) % len(phases[name])
                done[name] += place[name] == 0
                left[name] = phases[name][place[name]].work
    return {name: count / now for name, count in done.items()}


def _waiting(phases: dict[str, list[Phase]], place: dict[str, int]) -> set[str]:
    """Returns who stands before `apply` while another is not there yet."""
    at = {name: phases[name][place[name]].name for name in phases}
    early = {"compute", "reduce", "push"}
    if any(each in early for each in at.values()):
        return {name for name, each in at.items() if each == "apply"}
    return set()


def _rate(
    name: str, phases: dict[str, list[Phase]], place: dict[str, int]
) -> float:
    phase = phases[name][place[name]]
    if not phase.is_shared:
        return 1.0
    there = [n for n in phases if phases[n][place[n]].name == phase.name]
    return 1.0 / len(there)


def paper_groups(speed_up: float, gpus_per_machine: int) -> list[Group]:
    """Returns the paper's 64 GPUs as a group for each of its tasks.

    `paper_costs.json` has what the appendix says of each task's cost.

    Args:
        speed_up: how many times a K40's speed a GPU has.
        gpus_per_machine: each machine exchanges the trunk once.
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
            costs["num_gpus"] // len(hours) // gpus_per_machine,
        )
        for name, each in hours.items()
    ]


def main() -> None:
    """Prints the table of docs/distributed.md."""
    print("GPU x K40 | GPUs a machine | shards | Gbit/s | task: share kept")
    for speed_up in (1, 20):
        for gpus, shards in ((1, 1), (1, 4), (8, 4)):
            for gbit in (10, 100):
                store = Store(
                    # Rates of one shard as measured on localhost.
                    _TRUNK,
                    shards,
                    gbit * _GBIT,
                    0.98e9,
                    0.77e9,
                    0.81e9,
                )
                groups = paper_groups(speed_up, gpus)
                rates = simulate(groups, store, 2000.0 / speed_up)
                kept = ", ".join(
                    f"{group.name} {rates[group.name] * group.compute_s:.0%}"
                    for group in groups
                )
                print(f"{speed_up} | {gpus} | {shards} | {gbit} | {kept}")


if __name__ == "__main__":
    main()
