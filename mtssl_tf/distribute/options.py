"""How a run is spread over a cluster; plain Python, checked before any work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import dataclasses
import re

from mtssl_tf import config as config_lib
from mtssl_tf import tasks
from mtssl_tf import weighting

LOCAL = "local"
AUTO = "auto"
MODES = ("hybrid", "synchronous", "asynchronous", "turns")
BATCH_NORMS = ("per_worker", "synchronized", "frozen")
WIRES = ("float32", "bfloat16")

_ADDRESS = re.compile(r"(?P<host>[\w.\-]+|\[[0-9a-fA-F:]+\]):(?P<port>\d+)")
_MOST_WORKERS = 1024  # ours, in a group
_COUNT = re.compile(r"(\d+)(?:-(\d+))?")


@dataclasses.dataclass(frozen=True)
class WorkerRange:
    """How many workers a group may have."""

    least: int
    most: int

    def sizes(self, num_pictures: int) -> list[int]:
        """Returns the sizes that divide a batch, the largest first.

        Args:
            num_pictures: that a batch is cut from.
        """
        return [
            size
            for size in range(min(self.most, num_pictures), self.least - 1, -1)
            if num_pictures % size == 0
        ]


@dataclasses.dataclass(frozen=True)
class ClusterOptions:
    """What the flags of a cluster say.

    Attributes:
        address: `local` starts a Ray of its own, `auto` joins the one that
            runs here, HOST:PORT the one of that head.
        workers: task -> how many workers its group may have.
        store_shards: slices of the trunk, each with a process of its own.
        mode: `hybrid` is the paper's. `synchronous` applies the gradients of
            all tasks together, `asynchronous` those of each worker alone (both
            paper, sec. 4), and in `turns` the tasks step in the order that
            one machine would step in.
        batch_norm: `per_worker` normalises by each worker's part of the
            batch, `synchronized` by all of it, `frozen` by the moving
            statistics, which then stay as they are.
        wire: what gradients are sent as; the store computes in float32.
        use_overlap: whether a group computes its next batch while its
            gradient travels, on a trunk one step old.
        is_calibration: whether to measure seconds per step, in turns, and to
            save nothing else.
        has_dashboard: whether Ray's dashboard runs; for `local`.
        allows_open: whether a Ray that asks nobody for a token is joined.
        peer_timeout_s: after which a silent process counts as dead.
        away_timeout_s: how long a checkpoint waits for a group that is away.
        deposit_every: steps of a task after which its head is kept in the
            store: what a group that dies loses of its head at most.
    """

    address: str
    workers: Mapping[str, WorkerRange]
    store_shards: int = 1
    mode: str = "hybrid"
    batch_norm: str = "per_worker"
    wire: str = "float32"
    use_overlap: bool = False
    is_calibration: bool = False
    has_dashboard: bool = False
    allows_open: bool = False
    peer_timeout_s: float = 60.0  # ours
    away_timeout_s: float = 120.0  # ours
    deposit_every: int = 20  # ours

    def __post_init__(self) -> None:
        check_address(self.address)
        if self.store_shards < 1:
            raise ValueError(
                f"--store_shards={self.store_shards} must be 1 or above."
            )
        if self.use_overlap and self.mode in ("synchronous", "turns"):
            raise ValueError(
                f"--overlap lets a group run ahead of its own gradient; "
                f"--mode={self.mode} forbids that. Leave one of them out."
            )

    def most_workers(self) -> int:
        """Returns how many workers all groups together have at most."""
        return sum(each.most for each in self.workers.values())

    def num_parts(self, task: str, num_pictures: int) -> int:
        """Returns in how many parts a task's batch is compared.

        Args:
            task: its name.
            num_pictures: that a batch is cut from.
        """
        if self.mode != "asynchronous":
            return 1
        return self.workers[task].sizes(num_pictures)[0]


def check_address(address: str) -> None:
    """Raises ValueError where `--cluster` names no cluster."""
    if address in (LOCAL, AUTO):
        return
    parsed = _ADDRESS.fullmatch(address)
    if not parsed or not 0 < int(parsed["port"]) < 65536:
        raise ValueError(
            f"--cluster={address} is not {LOCAL}, {AUTO} or HOST:PORT, the "
            "address of a running Ray's head."
        )


def parse_workers(
    text: str, task_names: Sequence[str]
) -> dict[str, WorkerRange]:
    """Reads `2`, `1-4`, or `TASK:2,TASK:1-4`; a task left out has one.

    Raises:
        ValueError: a count is no count, or a task is not trained.
    """
    if ":" not in text:
        everywhere = _parse_range(text, text)
        return {name: everywhere for name in task_names}
    workers = {name: WorkerRange(1, 1) for name in task_names}
    named: set[str] = set()
    for part in text.split(","):
        name, _, count = part.partition(":")
        if name not in workers:
            raise ValueError(
                f"--workers={text}: {name!r} is not trained. --tasks has "
                f"{', '.join(task_names)}."
            )
        if name in named:
            raise ValueError(
                f"--workers={text} names {name} twice. Leave one out."
            )
        named.add(name)
        workers[name] = _parse_range(count, text)
    return workers


def check_fits(options: ClusterOptions, config: config_lib.RunConfig) -> None:
    """Raises ValueError where a cluster cannot run these settings."""
    for name, task in config.tasks.items():
        workers = options.workers[name]
        if not workers.sizes(task.pictures_per_batch):
            pictures = ""
            if task.patches_per_picture > 1:
                pictures = f" of {task.pictures_per_batch} pictures"
            raise ValueError(
                f"{name}.batch_size={task.batch_size}{pictures} cannot be "
                "divided over "
                f"{workers.least} to {workers.most} workers. Choose a "
                f"multiple of one of these, or other --workers."
            )
    if config.train.freeze_trunk:
        raise ValueError(
            "train.freeze_trunk=True leaves the store nothing to do. Train "
            "frozen heads without --cluster."
        )
    if config.train.accumulate > 1:
        raise ValueError(
            f"train.accumulate={config.train.accumulate} is for one machine; "
            "on a cluster more --workers share a batch. Leave it out."
        )
    if config.train.xla == "always":
        raise ValueError(
            "train.xla=always is for one machine: on a cluster steps are "
            "taken without XLA. Leave it out."
        )
    for name in ("hours", "probe", "profile", "keep_best"):
        if getattr(config.train, name):
            raise ValueError(
                f"--{name} is for one machine. Leave it out, and go on "
                "from the checkpoint on one machine to have it."
            )
    if weighting.measures_halves(config.train.weighting):
        _check_halves(options, config)
    if options.mode == "asynchronous":
        _check_parts(options, config)
    if options.mode == "asynchronous" and config.train.use_lasso:
        raise ValueError(
            "--mode=asynchronous keeps heads in the store, which knows no "
            "mix. Use --lasso with another mode."
        )


def _check_halves(
    options: ClusterOptions, config: config_lib.RunConfig
) -> None:
    """Refuses workers whose part of a batch has no halves to compare."""
    for name, task in config.tasks.items():
        is_alone = options.mode == "asynchronous"
        compares = tasks.find_task(name).compares_examples
        least = 4 if is_alone and compares else 2
        for size in options.workers[name].sizes(task.pictures_per_batch):
            own = task.pictures_per_batch // size
            if own % 2 or own < least:
                raise ValueError(
                    f"--weighting={config.train.weighting} compares halves of "
                    f"a batch, and {size} workers of {name} have {own} of its "
                    f"{task.pictures_per_batch} pictures each: it must be an "
                    f"even number of {least} or more. Set {name}.batch_size, "
                    "or other --workers."
                )


def _check_parts(options: ClusterOptions, config: config_lib.RunConfig) -> None:
    """Refuses parts of a batch in which nothing can be compared."""
    for name, task in config.tasks.items():
        most = options.num_parts(name, task.pictures_per_batch)
        if (
            tasks.find_task(name).compares_examples
            and task.pictures_per_batch < 2 * most
        ):
            raise ValueError(
                f"{name} compares the examples of a batch, and with "
                f"--mode=asynchronous each of {most} workers has its own "
                f"part: {name}.batch_size={task.batch_size} leaves some "
                "fewer than two pictures. Set it to "
                f"{2 * most * task.patches_per_picture} or above."
            )


def _parse_range(count: str, text: str) -> WorkerRange:
    parsed = _COUNT.fullmatch(count)
    least = int(parsed[1]) if parsed else 0
    most = int(parsed[2] or least) if parsed else 0
    if not 1 <= least <= most <= _MOST_WORKERS:
        raise ValueError(
            f"--workers={text}: {count!r} is no number of workers, from 1 to "
            f"{_MOST_WORKERS}. Write 2, or 1-4 for as many as fit, or "
            "TASK:2,TASK:1-4."
        )
    return WorkerRange(least, most)
