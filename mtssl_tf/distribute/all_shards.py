"""What the first shard does with all shards: fill, read, bring back, end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
import time
from typing import Any

from absl import logging
import numpy as np
import tensorflow as tf

from mtssl_tf.distribute import chunks
from mtssl_tf.distribute import joined_state
from mtssl_tf.distribute import settings as settings_lib
from mtssl_tf.distribute import store_client

Reply = dict[str, Any]

_STATUS_TIMEOUT_S = 1.0
# A shard that has restarted answers dumps only once it is filled again, for
# which its reader must give up.
_DUMP_TIMEOUT_S = 10.0
_END_TIMEOUT_S = 5.0


class AllShards:
    """The store as a whole, seen from its first shard."""

    def __init__(
        self,
        settings: settings_lib.Settings,
        joined: joined_state.JoinedState,
        ask_first: Callable[[Reply, tf.Tensor | None], tuple],
    ) -> None:
        """Takes what is to be kept.

        Args:
            settings: of the first shard.
            joined: the whole run.
            ask_first: has the first shard do something without the network.
                The server has few threads, and all may wait for the lock that
                this process holds while it saves.
        """
        self._settings = settings
        self._joined = joined
        self._ask_first = ask_first
        self._client = store_client.StoreClient(
            settings.cluster, settings.secret
        )
        self._others = range(1, len(settings.cluster.store))
        self._segments = joined.segments()
        self._layout = chunks.ChunkLayout(
            self._segments, len(settings.cluster.store)
        )
        now = time.monotonic()
        self._heard_at = {index: now for index in self._others}

    def wait_for_others(self) -> None:
        """Waits until every shard answers.

        Raises:
            StoreError: one has not started.
        """
        for index in self._others:
            self._client.call(
                index,
                {"op": "status"},
                timeout_s=self._settings.cluster.start_timeout_s,
            )

    def find_closed(self) -> list[int]:
        """Returns the shards that have restarted and are to be filled.

        Raises:
            StoreError: one has been away for longer than a start takes.
        """
        closed = []
        for index in self._others:
            try:
                reply, _ = self._client.call(
                    index, {"op": "status"}, timeout_s=_STATUS_TIMEOUT_S
                )
            except store_client.AwayError:
                silent_s = time.monotonic() - self._heard_at[index]
                if silent_s > self._settings.cluster.start_timeout_s:
                    raise
                continue  # Its clients wait for it as well.
            self._heard_at[index] = time.monotonic()
            if not reply["is_open"]:
                closed.append(index)
        return closed

    def open_from_checkpoint(self, steps: Mapping[str, int]) -> None:
        """Fills every shard with what the joined state has."""
        shards = [0, *self._others]
        for index in shards:
            self._ask(index, {"op": "setup", "segments": self._segments})
        for segment in self._segments:
            for name in self._layout.names(segment, steps):
                vector = self._joined.stored(name, segment)
                for chunk in self._layout.of_segment(segment):
                    self._ask(
                        chunk.shard,
                        {"op": "load", "name": name, "chunk": chunk.name},
                        tf.constant(vector[chunk.start : chunk.stop]),
                    )
        committed = {
            pusher: steps[task]
            for pusher, task in self._settings.cluster.pushers().items()
        }
        for index in shards:
            self._ask(
                index,
                {"op": "open", "committed": committed},
            )

    def collect(self) -> None:
        """Brings the joined state to what the shards have.

        Raises:
            StoreError: a shard is away, or has just restarted.
        """
        tasks = self._settings.cluster.tasks
        for segment in self._segments:
            for name in self._layout.names(segment, tasks):
                parts = [
                    self._ask(
                        chunk.shard,
                        {"op": "dump", "name": name, "chunk": chunk.name},
                        timeout_s=_DUMP_TIMEOUT_S,
                    )[1].numpy()
                    for chunk in self._layout.of_segment(segment)
                ]
                vector = np.concatenate(parts)
                self._joined.set_stored(name, segment, vector)

    def end_others(self) -> None:
        """Tells all shards but the first that nobody needs them any more."""
        for index in self._others:
            try:
                self._client.call(
                    index, {"op": "end"}, timeout_s=_END_TIMEOUT_S
                )
            except store_client.StoreError:
                logging.warning("store/%d has gone before its time.", index)

    def _ask(
        self,
        index: int,
        request: Reply,
        data: tf.Tensor | None = None,
        timeout_s: float | None = None,
    ) -> tuple:
        if index == 0:
            return self._ask_first(request, data)
        return self._client.call(index, request, data, timeout_s)
