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
from mtssl_tf.process import memory

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
    layout: chunks.ChunkLayout, addresses: list[str], loopback: Loopback
) -> dict[str, float]:
    """Returns the median seconds of each phase, and what store/0 holds.

    That is in bytes, beyond an empty shard: `loaded`, and `pushed`, with a
    gradient that waits for its commit. `tcp` are the seconds of plain TCP,
    which takes turns with the exchanges.
    """
    client = connect(addresses)
    pusher = pusher_lib.Pusher(client, layout, _TASK, _TASK, 0, 1, 1)
    gradient = tf.random.normal([layout.segments[chunks.TRUNK]])
    held = {"loaded": _store_bytes(client)}
    rounds, tcp = [], []
    for step in range(_ROUNDS):
        rounds.append(time_step(pusher, step, gradient))
        tcp.append(loopback.time_round())
    pusher.push(_ROUNDS, gradient)
    held["pushed"] = _store_bytes(client)
    return {
        **median_phases(rounds),
        **held,
        "tcp": statistics.median(tcp),
    }


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


class Loopback:
    """Plain TCP to a process that sends back what it gets."""

    def __init__(self, num_bytes: int) -> None:
        self._buffer = bytearray(num_bytes)
        listener = socket.create_server(("127.0.0.1", 0))
        if os.fork() == 0:
            connection, _ = listener.accept()
            while _receive(connection, self._buffer):
                connection.sendall(self._buffer)
            os._exit(0)
        self._connection = socket.create_connection(listener.getsockname())

    def time_round(self) -> float:
        """Returns the seconds for the bytes there and back again."""
        start = time.monotonic()
        self._connection.sendall(self._buffer)
        _receive(self._connection, self._buffer)
        return time.monotonic() - start


def _receive(connection: socket.socket, buffer: bytearray) -> bool:
    """Fills the buffer; returns false where the other side is gone."""
    view = memoryview(buffer)
    while view:
        received = connection.recv_into(view)
        if not received:
            return False
        view = view[received:]
    return True


def main() -> None:
    """Prints the measurement."""
    parser = argparse.ArgumentParser(prog="python -m tools.measure_store")
    parser.add_argument("--floats", type=int, default=27_558_016)
    parser.add_argument("--shards", type=int, default=1)
    options = parser.parse_args()
    layout = chunks.ChunkLayout({chunks.TRUNK: options.floats}, options.shards)
    memory.keep_freed_memory()  # as every role does
    loopback = Loopback(4 * options.floats)
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
        result = time_exchange(layout, addresses, loopback)
    finally:
        for child in children:
            os.kill(child, signal.SIGKILL)
    tcp = result["tcp"]
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
