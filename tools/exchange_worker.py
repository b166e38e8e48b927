"""A store as a run starts it, and workers that exchange but do not compute.

To be imported once Ray is connected, as `mtssl_tf.distribute.actors` is.
"""

from __future__ import annotations

from collections.abc import Sequence
import concurrent.futures
import dataclasses
import socket
import time
from typing import Any

import numpy as np
import ray
from ray._private import internal_api
from ray.util import scheduling_strategies

from mtssl_tf.distribute import actors
from mtssl_tf.distribute import coordinator as coordinator_lib
from mtssl_tf.distribute import options as options_lib
from mtssl_tf.distribute import shard as shard_lib
from mtssl_tf.process import memory

PHASES = ("stage", "commit", "begin", "fetch")
WARM_UP = 5  # ours: the first rounds touch their memory for the first time
_FOR_EVER = 1 << 40  # steps
_PATIENCE_S = 60.0
_RMSPROP = shard_lib.Rmsprop(0.9, 0.9, 1e-8)
_LEARNING_RATE = 1e-4


@dataclasses.dataclass(frozen=True)
class RunningStore:
    """Actors of a store, and its client."""

    num_floats: int
    tasks: tuple[str, ...]
    shards: list[Any]
    coordinator: Any
    client: actors.RayStore


def start_store(
    num_floats: int, tasks: Sequence[str], num_shards: int = 1
) -> RunningStore:
    """Starts a store on this host; trunk and slots are all ones."""
    workers = {task: options_lib.WorkerRange(1, 1) for task in tasks}
    options = options_lib.ClusterOptions(options_lib.LOCAL, workers, num_shards)
    shards = actors.start_shards(options, _RMSPROP)
    names = [f"{task}/{slot}" for task in tasks for slot in shard_lib.SLOTS]
    loads = []
    for shard, (start, stop) in zip(
        shards, shard_lib.bounds(num_floats, num_shards)
    ):
        ones = np.ones(stop - start, np.float32)
        keys = [(shard_lib.TRUNK, n) for n in [shard_lib.VALUES, *names]]
        loads.append(shard.load.remote(dict.fromkeys(keys, ones)))
    ray.get(loads)
    coordinator = actors.start_coordinator(
        options,
        coordinator_lib.Plan(
            _FOR_EVER,
            _FOR_EVER,
            dict.fromkeys(tasks, 1.0),
            "hybrid",
            num_shards,
            _PATIENCE_S,
        ),
        shards,
        dict.fromkeys(tasks, 0),
        dict.fromkeys(tasks, np.zeros(0, np.float32)),
    )
    client = actors.RayStore(coordinator, shards, _PATIENCE_S)
    return RunningStore(num_floats, tuple(tasks), shards, coordinator, client)


def _on_node(node_id: str) -> Any:
    """Returns the strategy that puts an actor there."""
    return scheduling_strategies.NodeAffinitySchedulingStrategy(
        node_id, soft=False
    )


def _node_of(actor: Any) -> str:
    """Returns where an actor is."""
    return ray.get(
        actor.__ray_call__.remote(
            lambda _: ray.get_runtime_context().get_node_id()
        )
    )


def object_store() -> dict[str, float]:
    """Returns `objects` in the object store of this host, and `shm` in MB."""
    here = ray.get_runtime_context().get_node_id()
    (node,) = [n for n in ray.nodes() if n["NodeID"] == here]
    stats = internal_api.node_stats(
        node["NodeManagerAddress"],
        node["NodeManagerPort"],
        include_memory_info=False,
    ).store_stats
    return {
        "objects": stats.num_local_objects,
        "shm": stats.object_store_bytes_used / (1 << 20),
    }


def start_worker(
    store: RunningStore, task: str, node_id: str, wire: str = "float32"
) -> Any:
    """Starts the only worker of a task's group."""
    actor: Any = ray.remote(ExchangeWorker)
    place = _on_node(node_id)
    return actor.options(scheduling_strategy=place).remote(store, task, wire)


def start_echo(store: RunningStore) -> tuple[str, int]:
    """Starts plain TCP beside the first shard; returns its address."""
    actor: Any = ray.remote(Echo)
    place = _on_node(_node_of(store.shards[0]))
    echo = actor.options(num_cpus=0, scheduling_strategy=place).remote(
        4 * store.num_floats
    )
    address = ray.get(echo.address.remote())
    echo.serve.remote()
    return address


class ExchangeWorker:
    """The only worker of a group, whose gradient is always the same."""

    def __init__(self, store: RunningStore, task: str, wire: str) -> None:
        memory.keep_freed_memory()  # as every worker does
        self._store = store.client
        self._task = task
        self._wire = wire
        self._bounds = shard_lib.bounds(store.num_floats, len(store.shards))
        random = np.random.default_rng(0)
        self._gradient = random.standard_normal(store.num_floats, np.float32)
        self._trunk = np.empty(store.num_floats, np.float32)
        self._generation, self._step, _ = ray.get(
            store.coordinator.admit.remote(task, 1)
        )
        self._begun = self._step

    def exchange(self) -> list[float]:
        """Gives the gradient for a trunk; returns seconds, as in PHASES."""
        return self._give() + self._take()

    def exchange_times(self, count: int) -> float:
        """Exchanges without a pause; returns exchanges a second."""
        start = time.monotonic()
        for _ in range(count):
            self.exchange()
        return count / (time.monotonic() - start)

    def keep_on(
        self, compute_s: float, duration_s: float, use_overlap: bool = False
    ) -> float:
        """Takes steps whose computing is a sleep; returns steps a second."""
        num_steps = 0
        start = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(1) as thread:
            while time.monotonic() < start + duration_s:
                exchanged = thread.submit(self.exchange)
                if not use_overlap:
                    exchanged.result()
                time.sleep(compute_s)
                exchanged.result()
                num_steps += 1
        return num_steps / (time.monotonic() - start)

    def trunk(self) -> np.ndarray:
        """Returns what it has of the trunk, float32 [n]."""
        return self._trunk

    def connect(self, address: tuple[str, int]) -> None:
        """Connects to an `Echo`."""
        self._connection = socket.create_connection(address)
        self._buffer = bytearray(self._gradient.nbytes)

    def time_tcp(self) -> float:
        """Returns the seconds of plain TCP for a gradient and a trunk."""
        start = time.monotonic()
        self._connection.sendall(self._buffer)
        receive(self._connection, self._buffer)
        return time.monotonic() - start

    def _give(self) -> list[float]:
        """Stages and commits; returns the seconds of either."""
        start = time.monotonic()
        slices = {
            shard: {
                shard_lib.TRUNK: shard_lib.to_wire(
                    self._gradient[start:stop], self._wire
                )
            }
            for shard, (start, stop) in enumerate(self._bounds)
        }
        self._store.stage(slices, self._task, self._generation, self._step)
        staged = time.monotonic()
        commit = shard_lib.Commit(
            self._task, self._task, self._generation, self._step, _LEARNING_RATE
        )
        _check(self._store.commit(commit, 0, list(slices)))
        self._step += 1
        return [staged - start, time.monotonic() - staged]

    def _take(self) -> list[float]:
        """Asks for the trunk and copies it out; returns both's seconds."""
        self._begun += 1
        start = time.monotonic()
        reply = self._store.begin(self._task, self._generation, self._begun)
        versions = _check(reply).trunk
        begun = time.monotonic()
        parts = self._store.fetch(versions)
        np.concatenate(
            [part[shard_lib.TRUNK] for part in parts], out=self._trunk
        )
        return [begun - start, time.monotonic() - begun]


class Echo:
    """Plain TCP that sends back what it gets, once it has it all."""

    def __init__(self, num_bytes: int) -> None:
        self._buffer = bytearray(num_bytes)
        self._listener = socket.create_server(("", 0))

    def address(self) -> tuple[str, int]:
        """Returns what to connect to."""
        host = ray.util.get_node_ip_address()
        return host, self._listener.getsockname()[1]

    def serve(self) -> None:
        """Answers the first client until it leaves."""
        connection, _ = self._listener.accept()
        while receive(connection, self._buffer):
            connection.sendall(self._buffer)


def receive(connection: socket.socket, buffer: bytearray) -> bool:
    """Fills the buffer; returns false where the other side is gone."""
    view = memoryview(buffer)
    while view:
        received = connection.recv_into(view)
        if not received:
            return False
        view = view[received:]
    return True


def _check(reply: coordinator_lib.Reply) -> coordinator_lib.Reply:
    if reply.status != coordinator_lib.OK:
        raise RuntimeError(f"The store answered {reply}.")
    return reply
