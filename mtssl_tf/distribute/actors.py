"""The edge to Ray: plain classes become actors, calls become methods.

Everything that needs Ray to be installed is here and in `group.py`, `run.py`,
`hosts.py` and `cluster_map.py`; the classes themselves know nothing of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
import os
import socket
import time
from typing import Any

import numpy as np
import ray
from ray import exceptions

from mtssl_tf.distribute import coordinator as coordinator_lib
from mtssl_tf.distribute import options as options_lib
from mtssl_tf.distribute import shard as shard_lib

_PAUSE_S = 0.5


def where() -> dict[str, Any]:
    """Returns the host and process id that this runs on."""
    return {"host": socket.gethostname(), "pid": os.getpid()}


class _Shard(shard_lib.Shard):
    """A shard in a process of its own."""

    def where(self) -> dict[str, Any]:
        return where()


class _Coordinator(coordinator_lib.Coordinator):
    """The coordinator in a process of its own."""

    def where(self) -> dict[str, Any]:
        return where()


class _Worker:
    """A worker in a process of its own, which ends with its first error."""

    @ray.method(concurrency_group="control")
    def where(self) -> dict[str, Any]:
        return where()

    @ray.method(concurrency_group="control")
    def address(self) -> str:
        from mtssl_tf.distribute import peers

        host = ray.util.get_node_ip_address()
        return f"{host}:{peers.find_free_port()}"

    def train(self, job: Any, addresses: Sequence[str], store: RayStore) -> str:
        """Trains to the end; arguments as `worker.Worker` takes them."""
        from absl import logging

        from mtssl_tf.distribute import peers
        from mtssl_tf.distribute import worker
        from mtssl_tf.process import chatter

        chatter.silence()
        logging.set_verbosity(logging.INFO)
        peers.log_listening(job, addresses[job.rank])
        strategy, options = peers.connect(job, addresses)
        return worker.Worker(job, store, strategy, options).train()


# What Ray makes of a class has methods that no type checker knows.
ShardActor: Any = ray.remote(_Shard)
CoordinatorActor: Any = ray.remote(_Coordinator)
WorkerActor: Any = ray.remote(concurrency_groups={"control": 2})(  # type: ignore[call-overload]
    _Worker
)


class RayShards:
    """Calls a method of every shard, and waits for all."""

    def __init__(self, shards: Sequence[Any]) -> None:
        self._shards = list(shards)

    def __call__(self, method: str, *arguments: Any) -> list[Any]:
        return ray.get(
            [getattr(each, method).remote(*arguments) for each in self._shards]
        )


class RayStore:
    """The store as a worker reaches it: `worker.Store`."""

    def __init__(
        self, coordinator: Any, shards: Sequence[Any], patience_s: float
    ) -> None:
        """Takes handles; calls that find nobody are repeated for a while."""
        self._coordinator = coordinator
        self._shards = list(shards)
        self._patience_s = patience_s

    def begin(self, *arguments: Any) -> coordinator_lib.Reply:
        return self._ask(lambda: self._coordinator.begin.remote(*arguments))

    def commit(self, *arguments: Any) -> coordinator_lib.Reply:
        return self._ask(lambda: self._coordinator.commit.remote(*arguments))

    def deposit(self, *arguments: Any) -> None:
        self._ask(lambda: self._coordinator.deposit.remote(*arguments))

    def report(self, *arguments: Any) -> None:
        self._ask(lambda: self._coordinator.report.remote(*arguments))

    def stage(
        self, gradients: dict[int, dict[str, np.ndarray]], *arguments: Any
    ) -> None:
        self._ask(
            lambda: [
                self._shards[index].stage.remote(*arguments, parts)
                for index, parts in gradients.items()
            ]
        )

    def fetch(self, trunk: Any) -> list[dict[str, np.ndarray]]:
        # A shard returns its reference in a list, so that it stays one.
        return self._ask(lambda: [part[0] for part in trunk])

    def _ask(self, call: Callable[[], Any]) -> Any:
        """Repeats a call while the other side is out of reach."""
        deadline = time.monotonic() + self._patience_s
        while True:
            try:
                return ray.get(call())
            except exceptions.ActorUnavailableError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(_PAUSE_S)


def start_shards(
    options: options_lib.ClusterOptions,
    rmsprop: shard_lib.Rmsprop,
    num_clients: int,
) -> list[Any]:
    """Starts the store's shards, on hosts apart where there are enough."""
    shards = [
        ShardActor.options(
            num_cpus=1,
            max_restarts=0,
            max_task_retries=0,
            max_concurrency=num_clients + 4,
            scheduling_strategy="SPREAD" if index else None,
            # Ray hides GPUs from those that ask for none only if told.
            runtime_env={"env_vars": {"CUDA_VISIBLE_DEVICES": ""}},
        ).remote(rmsprop, ray.put)
        for index in range(options.store_shards)
    ]
    return shards
