"""Talks to all shards of the store, and waits out one that is away."""

from __future__ import annotations

import itertools
import json
import time
from typing import Any

import tensorflow as tf

from mtssl_tf.distribute import cluster as cluster_lib
from mtssl_tf.distribute import store_server
from mtssl_tf.distribute import trunk_store

_CALL_TIMEOUT_MS = 20_000  # ours
_CONNECT_TIMEOUT_S = 2.0
_RETRY_S = 0.2
_OUTPUTS = [tf.TensorSpec([], tf.string), tf.TensorSpec([None], tf.float32)]
_names = itertools.count()

Reply = dict[str, Any]


class StoreError(RuntimeError):
    """The store refuses, or cannot be reached."""


class AwayError(StoreError):
    """A shard cannot be reached."""


class StoreClient:
    """One process's connection to every shard."""

    def __init__(self, cluster: cluster_lib.Cluster, secret: bytes) -> None:
        """Connects to each shard when it is first called.

        Args:
            cluster: names the shards.
            secret: of the run.
        """
        self._cluster = cluster
        self._secret = tf.constant(secret)
        self._none = tf.zeros([0])
        self._clients: dict[int, Any] = {}

    def call(
        self,
        shard: int,
        request: Reply,
        data: tf.Tensor | None = None,
        timeout_s: float | None = None,
    ) -> tuple[Reply, tf.Tensor]:
        """Sends a message that may arrive twice, until it is answered."""
        return self.call_all([(shard, request, data)], timeout_s)[0]

    def call_all(
        self,
        messages: list[tuple[int, Reply, tf.Tensor | None]],
        timeout_s: float | None = None,
    ) -> list[tuple[Reply, tf.Tensor]]:
        """Sends messages at once; returns the answers in their order.

        Raises:
            StoreError: a shard stays away, or does not know the secret.
        """
        limit = timeout_s or self._cluster.store_timeout_s
        started = [self._start(*message, limit) for message in messages]
        try:
            return [
                self._finish(message, future, limit)
                for message, future in zip(messages, started)
            ]
        finally:
            # Where one raises, others may be under way. A client that is let
            # go during a call ends the process.
            for future in started:
                if future is not None:
                    future.is_ok()

    def _start(
        self, shard: int, request: Reply, data: Any, limit: float
    ) -> Any:
        """Returns the call's future, or None where there is nobody."""
        if shard not in self._clients and not self._connect(shard, limit):
            return None
        return self._clients[shard].call(
            store_server.METHOD,
            args=[
                self._secret,
                tf.constant(json.dumps(request)),
                self._none if data is None else data,
            ],
            output_specs=_OUTPUTS,
            timeout_in_ms=min(_CALL_TIMEOUT_MS, int(1000 * limit)),
        )

    def _connect(self, shard: int, limit: float) -> bool:
        try:
            self._clients[shard] = tf.distribute.experimental.rpc.Client.create(
                "grpc",
                self._cluster.store[shard],
                name=f"store_client_{next(_names)}",
                timeout_in_ms=int(1000 * min(limit, _CONNECT_TIMEOUT_S)),
            )
        except tf.errors.OpError:
            return False
        return True

    def _finish(
        self, message: tuple[int, Reply, Any], future: Any, limit: float
    ) -> tuple[Reply, tf.Tensor]:
        shard, request, _ = message
        deadline = time.monotonic() + limit
        while True:
            if future is not None and future.is_ok():
                text, values = future.get_value()
                reply = json.loads(text.numpy())
                _check_reply(shard, request, reply)
                if reply["status"] != trunk_store.LOADING:
                    return reply, values
            if time.monotonic() > deadline:
                raise AwayError(
                    f"store/{shard} at {self._cluster.store[shard]} has not "
                    f"answered for {limit:.0f} s. Is it running, and can "
                    "this machine reach it?"
                )
            time.sleep(_RETRY_S)
            future = self._start(*message, limit)


def _check_reply(shard: int, request: Reply, reply: Reply) -> None:
    if reply["status"] == store_server.STRANGER:
        raise StoreError(
            f"store/{shard} belongs to another run: it does not know this "
            "run's secret. Give all roles of a run one secret_file."
        )
    if reply["status"] == store_server.ERROR:
        raise StoreError(
            f"store/{shard} cannot do {request['op']!r}: {reply['message']}"
        )
