"""The edge to Ray: plain classes become actors, calls become methods.

Everything that needs Ray to be installed is here and in `group.py`, `run.py`,
`hosts.py` and `cluster_map.py`; the classes themselves know nothing of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
import functools
import os
import socket
import time
from typing import Any

import numpy as np
import ray
from ray import exceptions
from ray.util import scheduling_strategies

from mtssl_tf.distribute import coordinator as coordinator_lib
from mtssl_tf.distribute import options as options_lib
from mtssl_tf.distribute import shard as shard_lib

_PAUSE_S = 0.5


def where(_: object = None) -> dict[str, Any]:
    """Returns the host and process id of an actor, by its `__ray_call__`."""
    return {"host": socket.gethostname(), "pid": os.getpid()}


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

    def train(
        self, job: Any, addresses: Sequence[str], store: RayStore
    ) -> None:
        """Trains to the end; arguments as `worker.Worker` takes them."""
        from absl import logging

        from mtssl_tf.distribute import peers
        from mtssl_tf.distribute import worker
        from mtssl_tf.process import chatter

        chatter.silence()
        logging.set_verbosity(logging.INFO)
        peers.log_listening(job, addresses[job.rank])
        strategy, options = peers.connect(job, addresses)
        worker.Worker(job, store, strategy, options).train()


# What Ray makes of a class has methods that no type checker knows.
ShardActor: Any = ray.remote(shard_lib.Shard)
CoordinatorActor: Any = ray.remote(coordinator_lib.Coordinator)
WorkerActor: Any = ray.remote(concurrency_groups={"control": 2})(  # type: ignore[call-overload]
    _Worker
)


def call_all(shards: Sequence[Any], method: str, *arguments: Any) -> list[Any]:
    """Calls a method of every shard, and waits for all."""
    return ray.get(
        [getattr(each, method).remote(*arguments) for each in shards]
    )


class RayStore:
    """The store as a worker reaches it."""

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


def ask_where(asked: Sequence[Any]) -> list[Any]:
    """Asks actors for their host and process id; returns references."""
    return [each.__ray_call__.remote(where) for each in asked]


def start_shards(
    options: options_lib.ClusterOptions, rmsprop: shard_lib.Rmsprop
) -> list[Any]:
    """Starts the store's shards, on hosts apart where there are enough."""
    return [
        ShardActor.options(
            num_cpus=1,
            max_concurrency=options.most_workers() + 4,
            scheduling_strategy="SPREAD" if index else None,
            # Ray hides GPUs from those that ask for none only if told.
            runtime_env={"env_vars": {"CUDA_VISIBLE_DEVICES": ""}},
        ).remote(rmsprop, ray.put)
        for index in range(options.store_shards)
    ]


def start_coordinator(
    options: options_lib.ClusterOptions,
    plan: coordinator_lib.Plan,
    shards: Sequence[Any],
    steps: Mapping[str, int],
    deposits: Mapping[str, np.ndarray],
) -> Any:
    """Starts the coordinator of these shards, on this host."""
    here = scheduling_strategies.NodeAffinitySchedulingStrategy(
        ray.get_runtime_context().get_node_id(), soft=False
    )
    return CoordinatorActor.options(
        num_cpus=0,
        # Of each worker two threads wait, and a third may come meanwhile.
        max_concurrency=3 * options.most_workers() + 16,
        scheduling_strategy=here,
    ).remote(plan, functools.partial(call_all, shards), steps, deposits)
