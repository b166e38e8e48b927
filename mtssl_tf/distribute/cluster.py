"""The cluster file: which processes there are and how they work together.

Plain Python, so that a mistake is answered before TensorFlow is imported.
"""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses
import json
import pathlib
import socket
from typing import Any

from mtssl_tf import config as config_lib

STORE = "store"
MODES = ("hybrid", "synchronous", "asynchronous", "turns")
BATCH_NORMS = ("per_worker", "synchronized", "frozen")
_MIN_SECRET_BYTES = 16


@dataclasses.dataclass(frozen=True)
class Cluster:
    """A cluster file.

    Attributes:
        tasks: task name -> `host:port` of each of its workers.
        store: `host:port` of each shard of the trunk store.
        secret_file: holds the run's secret, at least 16 bytes.
        mode: `hybrid` is the paper's. `synchronous` applies the gradients of
            all tasks together, `asynchronous` those of each worker alone (both
            paper, sec. 4), and in `turns` the tasks step in the order that
            one machine would step in.
        batch_norm: `per_worker` normalises by each worker's part of the
            batch, `synchronized` by all of it, `frozen` by the moving
            statistics, which then stay as they are.
        start_timeout_s: how long roles wait for one another at the start.
        peer_timeout_s: after which a silent worker ends its group.
        store_timeout_s: how long a worker waits for a store that is away,
            and a checkpoint for a group that is.
        deposit_every: steps of a task after which its head is kept in the
            store: what a group that dies loses of its head at most.
    """

    tasks: Mapping[str, tuple[str, ...]]
    store: tuple[str, ...]
    secret_file: str
    mode: str = "hybrid"
    batch_norm: str = "per_worker"
    start_timeout_s: float = 300.0  # ours
    peer_timeout_s: float = 60.0  # ours
    store_timeout_s: float = 120.0  # ours
    deposit_every: int = 20  # ours

    def __post_init__(self) -> None:
        object.__setattr__(self, "store", tuple(self.store))
        tasks = {name: tuple(hosts) for name, hosts in self.tasks.items()}
        object.__setattr__(self, "tasks", tasks)
        for name, known in (("mode", MODES), ("batch_norm", BATCH_NORMS)):
            if getattr(self, name) not in known:
                raise ValueError(
                    f"{name}={getattr(self, name)!r} is not one of {known}."
                )
        for name in (
            "start_timeout_s",
            "peer_timeout_s",
            "store_timeout_s",
            "deposit_every",
        ):
            if not getattr(self, name) > 0:
                raise ValueError(
                    f"{name} must be above 0, got {getattr(self, name)}."
                )
        if not self.store or not all(tasks.values()) or not tasks:
            raise ValueError(
                "A cluster needs a store shard, a task, and a worker for "
                f"each task. Got store={self.store}, tasks={tasks}."
            )
        _check_addresses([*self.store, *sum(tasks.values(), ())])

    def roles(self) -> list[Role]:
        """Returns every process of the cluster, the store first."""
        return [Role(STORE, i) for i in range(len(self.store))] + [
            Role(name, i)
            for name, hosts in self.tasks.items()
            for i in range(len(hosts))
        ]

    def address(self, role: Role) -> str:
        """Returns the `host:port` of a role."""
        hosts = self.store if role.is_store else self.tasks[role.name]
        return hosts[role.index]

    def pushers(self) -> dict[str, str]:
        """Returns who commits gradients -> for which task.

        A group commits as one, except in asynchronous mode.
        """
        if self.mode != "asynchronous":
            return {name: name for name in self.tasks}
        return {
            str(role): role.name for role in self.roles() if not role.is_store
        }

    def tf_config(self, role: Role) -> str:
        """Returns the TF_CONFIG of a worker: its own group and no more."""
        return json.dumps(
            {
                "cluster": {"worker": list(self.tasks[role.name])},
                "task": {"type": "worker", "index": role.index},
            }
        )


@dataclasses.dataclass(frozen=True)
class Role:
    """One process: `TASK/INDEX` or `store/INDEX`."""

    name: str
    index: int

    def __str__(self) -> str:
        return f"{self.name}/{self.index}"

    @property
    def is_store(self) -> bool:
        """Whether this is a shard of the store."""
        return self.name == STORE

    @property
    def is_chief(self) -> bool:
        """Whether this is a group's first worker."""
        return not self.is_store and self.index == 0


def load_cluster(path: str) -> Cluster:
    """Reads a cluster file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not a cluster file.
    """
    try:
        stored = json.loads(pathlib.Path(path).read_text())
        return from_dict(stored)
    except FileNotFoundError:
        raise FileNotFoundError(
            f"--cluster={path} is no file. docs/distributed.md shows one."
        ) from None
    except (TypeError, ValueError) as error:
        raise ValueError(f"--cluster={path}: {error}") from error


def from_dict(stored: Mapping[str, Any]) -> Cluster:
    """Returns the cluster that a JSON object describes."""
    known = {field.name for field in dataclasses.fields(Cluster)}
    unknown = sorted(set(stored) - known)
    missing = sorted({"tasks", "store", "secret_file"} - set(stored))
    if unknown or missing:
        raise ValueError(
            f"unknown keys {unknown}, missing keys {missing}. Known: "
            f"{sorted(known)}."
        )
    return Cluster(**stored)


def parse_role(text: str, cluster: Cluster) -> Role:
    """Returns the role named `TASK/INDEX` or `store/INDEX`.

    Raises:
        ValueError: the cluster has no such role.
    """
    by_name = {str(role): role for role in cluster.roles()}
    if text not in by_name:
        raise ValueError(
            f"--role={text} is not in the cluster file. Known: "
            f"{', '.join(by_name)}."
        )
    return by_name[text]


def load_secret(cluster: Cluster) -> bytes:
    """Returns the run's secret.

    Raises:
        ValueError: the file is missing or too short to be a secret.
    """
    try:
        secret = pathlib.Path(cluster.secret_file).read_bytes().strip()
    except OSError as error:
        raise ValueError(
            f"secret_file={cluster.secret_file} cannot be read: "
            f"{error.strerror}. Write one: openssl rand -hex 32 > FILE; "
            "chmod 600 FILE."
        ) from error
    if len(secret) < _MIN_SECRET_BYTES:
        raise ValueError(
            f"secret_file={cluster.secret_file} holds {len(secret)} bytes; a "
            f"secret has at least {_MIN_SECRET_BYTES}. Write one: openssl "
            "rand -hex 32 > FILE."
        )
    return secret


def check_fits(cluster: Cluster, config: config_lib.RunConfig) -> None:
    """Raises ValueError where the cluster cannot run these settings."""
    if set(cluster.tasks) != set(config.tasks):
        raise ValueError(
            f"--tasks={','.join(config.tasks)}, but the cluster file has "
            f"groups for {', '.join(cluster.tasks)}. Give both the same."
        )
    for name, task in config.tasks.items():
        num_workers = len(cluster.tasks[name])
        if task.batch_size % num_workers:
            raise ValueError(
                f"{name}.batch_size={task.batch_size} cannot be divided over "
                f"{num_workers} workers. Choose a multiple of {num_workers}."
            )
    if config.train.freeze_trunk:
        raise ValueError(
            "train.freeze_trunk=True leaves the store nothing to do. Train "
            "frozen heads without --cluster."
        )
    for name in ("probe", "profile"):
        if getattr(config.train, name):
            raise ValueError(
                f"--{name} is for one machine. Leave it out, and go on "
                "from the checkpoint on one machine to have it."
            )
    if cluster.mode == "asynchronous" and config.train.use_lasso:
        raise ValueError(
            "mode='asynchronous' keeps heads in the store, which knows no "
            "mix. Use --lasso with another mode."
        )


def check_bindable(role: Role, address: str) -> None:
    """Raises ValueError where this process cannot have its role's address.

    TensorFlow's servers share a port with any other process that asks for
    it, so a role started twice would go unnoticed.
    """
    host, port = split_address(address)
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError as error:
            raise ValueError(
                f"--role={role} cannot listen at {address}: {error.strerror}. "
                "Either this role already runs here, or another program has "
                "the port, or the address is another machine's."
            ) from error


def split_address(address: str) -> tuple[str, int]:
    """Returns the host and the port of `host:port`."""
    host, colon, port = address.rpartition(":")
    if not (colon and host and port.isdigit() and 0 < int(port) < 65536):
        raise ValueError(f"{address!r} is not HOST:PORT.")
    return host, int(port)


def _check_addresses(addresses: list[str]) -> None:
    for address in addresses:
        host, _ = split_address(address)
        if host in ("0.0.0.0", "[::]", "::", "*"):
            raise ValueError(
                f"{address} would listen on all interfaces of the machine. "
                "Name the address of one private network, or 127.0.0.1."
            )
    twice = sorted({a for a in addresses if addresses.count(a) > 1})
    if twice:
        raise ValueError(f"{twice} stand for two roles. Give each its own.")
