"""Times the exchange of a trunk with the store: push, apply, pull.

    python -m tools.measure_store [--floats=27558016] [--shards=1]

Beside it stands the time that plain TCP takes for the same bytes both ways on
the same loopback. docs/distributed.md quotes the output.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
import os
import pathlib
import resource
import signal
import socket
import statistics
import time

import tensorflow as tf

from mtssl_tf.distribute import chunks
from mtssl_tf.distribute import cluster as cluster_lib
from mtssl_tf.distribute import launch
from mtssl_tf.distribute import pusher as pusher_lib
from mtssl_tf.distribute import store_client
from mtssl_tf.distribute import store_server
from mtssl_tf.distribute import trunk_store

_SECRET = b"measure" * 4
_TASK = "task"
_ROUNDS = 8
PHASES = ("push", "commit", "pull")


def serve(
    shard: int,
    layout: chunks.ChunkLayout,
    address: str,
    ready: int,
    tasks: Sequence[str] = (_TASK,),
) -> None:
    """Serves one shard until it is killed; writes to `ready` before."""
    rmsprop = trunk_store.Rmsprop(1e-4, 0.9, 0.9, 1e-8)
    store = trunk_store.TrunkStore(
        layout,
        shard,
        {task: task for task in tasks},
        dict.fromkeys(tasks, rmsprop),
    )
    tf.ones([1]) + 1.0  # So that TensorFlow's own share is there already.
    empty = _resident_bytes()
    for chunk in layout.on_shard(shard):
        for name in layout.names(chunk.segment, tasks):
            zeros = tf.ones([chunk.stop - chunk.start])
            store.load(name, chunk.name, zeros)
    store.open(dict.fromkeys(tasks, 0))

    def handle(request, data):
        op = request.pop("op")
        if op == "pull":
            return {"status": trunk_store.OK}, store.pull(**request)
        if op == "push":
            return store.push(gradient=data, **request), None
        if op == "memory":
            grown = _resident_bytes() - empty
            return {"status": trunk_store.OK, "bytes": grown}, None
        if op == "steps":
            return {"status": trunk_store.OK, "steps": store.committed}, None
        return getattr(store, op)(**request), None

    server = store_server.StoreServer(address, _SECRET, handle)
    os.write(ready, b"x")
    signal.pause()
    del server


def connect(addresses: Sequence[str]) -> store_client.StoreClient:
    """Returns a client of shards that `serve`."""
    cluster = cluster_lib.Cluster(
        {_TASK: ("127.0.0.1:1",)}, tuple(addresses), ""
    )
    return store_client.StoreClient(cluster, _SECRET)


def time_exchange(
    layout: chunks.ChunkLayout, addresses: list[str]
) -> dict[str, float]:
    """Returns the median seconds of each phase, and what store/0 holds.

    That is in bytes, beyond an empty shard: `loaded`, and `pushed`, with a
    gradient that waits for its commit.
    """
    client = connect(addresses)
    pusher = pusher_lib.Pusher(client, layout, _TASK, _TASK, 0, 1, 1)
    gradient = tf.random.normal([layout.segments[chunks.TRUNK]])
    memory = {"loaded": _store_bytes(client)}
    rounds = [time_step(pusher, step, gradient) for step in range(_ROUNDS)]
    pusher.push(_ROUNDS, gradient)
    memory["pushed"] = _store_bytes(client)
    return {**median_phases(rounds), **memory}


def time_step(
    pusher: pusher_lib.Pusher, step: int, gradient: tf.Tensor
) -> list[float]:
    """Exchanges a gradient for the trunk; returns seconds, as in PHASES."""
    marks = [time.monotonic()]
    pusher.push(step, gradient)
    marks.append(time.monotonic())
    pusher.commit(step, gradient, 60, lambda reply: True)
    marks.append(time.monotonic())
    pusher.start_pull()()
    marks.append(time.monotonic())
    return [after - before for before, after in zip(marks, marks[1:])]


def median_phases(rounds: Sequence[Sequence[float]]) -> dict[str, float]:
    """Returns the median of each phase over what `time_step` gave."""
    return dict(zip(PHASES, map(statistics.median, zip(*rounds))))


def _store_bytes(client: store_client.StoreClient) -> int:
    reply, _ = client.call(0, {"op": "memory"})
    return reply["bytes"]


def _resident_bytes() -> int:
    pages = pathlib.Path("/proc/self/statm").read_text().split()[1]
    return int(pages) * resource.getpagesize()


def time_tcp(num_bytes: int) -> float:
    """Returns the median seconds for the bytes there and back again."""
    listener = socket.create_server(("127.0.0.1", 0))
    if os.fork() == 0:
        connection, _ = listener.accept()
        buffer = bytearray(num_bytes)
        for _ in range(_ROUNDS):
            _receive(connection, buffer)
            connection.sendall(buffer)
        os._exit(0)
    connection = socket.create_connection(listener.getsockname())
    buffer = bytearray(num_bytes)
    times = []
    for _ in range(_ROUNDS):
        start = time.monotonic()
        connection.sendall(buffer)
        _receive(connection, buffer)
        times.append(time.monotonic() - start)
    os.wait()
    return statistics.median(times)


def _receive(connection: socket.socket, buffer: bytearray) -> None:
    view = memoryview(buffer)
    while view:
        view = view[connection.recv_into(view) :]


def main() -> None:
    """Prints the measurement."""
    parser = argparse.ArgumentParser(prog="python -m tools.measure_store")
    parser.add_argument("--floats", type=int, default=27_558_016)
    parser.add_argument("--shards", type=int, default=1)
    options = parser.parse_args()
    layout = chunks.ChunkLayout(
        {chunks.TRUNK: options.floats}, options.shards
    )
    tcp = time_tcp(4 * options.floats)
    addresses = [
        f"127.0.0.1:{port}" for port in launch.find_free_ports(options.shards)
    ]
    ready, told = os.pipe()
    children = []
    for shard, address in enumerate(addresses):
        children.append(os.fork())
        if children[-1] == 0:
            serve(shard, layout, address, told)
    for _ in children:
        os.read(ready, 1)
    try:
        result = time_exchange(layout, addresses)
    finally:
        for child in children:
            os.kill(child, signal.SIGKILL)
    total = result["push"] + result["commit"] + result["pull"]
    print(
        f"{options.floats} floats, {options.shards} shards: push "
        f"{result['push']:.3f} s, commit {result['commit']:.3f} s, pull "
        f"{result['pull']:.3f} s, together {total:.3f} s; TCP {tcp:.3f} s; "
        f"{total / tcp:.1f} times. store/0 holds "
        f"{result['loaded'] / 1e9:.2f} GB, {result['pushed'] / 1e9:.2f} GB "
        "with a gradient."
    )


if __name__ == "__main__":
    main()
