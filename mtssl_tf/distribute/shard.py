"""A shard of the store as a process: what it answers to whom."""

from __future__ import annotations

import threading
import time
from typing import Any

from absl import logging
import tensorflow as tf

from mtssl_tf.distribute import chunks
from mtssl_tf.distribute import settings as settings_lib
from mtssl_tf.distribute import store_server
from mtssl_tf.distribute import trunk_store
from mtssl_tf.process import stop_signal

Reply = dict[str, Any]

_TICK_S = 0.1
_GRACE_S = 60.0  # ours
# For the answer to the message that ends this process.
_LAST_WORDS_S = 0.5
_OK = {"status": trunk_store.OK}
_FROM_WORKERS = ("push", "prepare", "commit", "pull")


class Shard:
    """Answers for one shard of the store."""

    def __init__(self, settings: settings_lib.Settings) -> None:
        """Starts to listen; the first shard sends what there is to keep."""
        self._settings = settings
        self._index = settings.role.index
        self._made: trunk_store.TrunkStore | None = None
        self._segments: dict[str, int] = {}
        self._is_over = False
        self._failure = ""
        self._heard_at = time.monotonic()
        self._lock = threading.RLock()
        self._server = store_server.StoreServer(
            settings.cluster.address(settings.role),
            settings.secret,
            self._handle,
        )

    def serve(self, stop: stop_signal.StopSignal) -> str:
        """Serves until the run is over; returns why it failed, or ''."""
        while not self._is_over:
            time.sleep(_TICK_S)
            # The first shard says when nobody needs this one any more, and
            # asks how it is until then. It may be gone itself.
            patience_s = self._settings.cluster.start_timeout_s
            if stop.is_requested:
                patience_s = _GRACE_S
            if time.monotonic() < self._heard_at + patience_s:
                continue
            if not stop.is_requested:
                self._fail(f"store/0 was silent for {patience_s:.0f} s.")
            break
        time.sleep(_LAST_WORDS_S)
        return self._failure

    @property
    def _store(self) -> trunk_store.TrunkStore:
        if self._made is None:
            raise ValueError(f"store/{self._index} is not set up yet.")
        return self._made

    def _handle(
        self, request: Reply, data: tf.Tensor
    ) -> tuple[Reply, tf.Tensor | None]:
        op = request.pop("op")
        answer = getattr(self, f"_on_{op}", None)
        if answer is None:
            raise ValueError(f"there is no operation {op!r}.")
        if op not in _FROM_WORKERS:
            self._heard_at = time.monotonic()
        if op in (*_FROM_WORKERS, "dump"):
            if self._made is None or not self._made.is_open:
                return {"status": trunk_store.LOADING}, None
        return answer(request, data)

    def _on_push(self, request: Reply, data: tf.Tensor) -> tuple:
        return self._store.push(gradient=data, **request), None

    def _on_prepare(self, request: Reply, data: tf.Tensor) -> tuple:
        return self._store.prepare(**request), None

    def _on_commit(self, request: Reply, data: tf.Tensor) -> tuple:
        return self._store.commit(**request), None

    def _on_pull(self, request: Reply, data: tf.Tensor) -> tuple:
        return _OK, self._store.pull(request["chunk"])

    def _on_dump(self, request: Reply, data: tf.Tensor) -> tuple:
        return _OK, self._store.dump(request["name"], request["chunk"])

    def _on_status(self, request: Reply, data: tf.Tensor) -> tuple:
        is_open = self._made is not None and self._made.is_open
        return {**_OK, "is_open": is_open}, None

    def _on_setup(self, request: Reply, data: tf.Tensor) -> tuple:
        """Makes an empty shard for these segments."""
        self._make_store(request["segments"])
        return _OK, None

    def _on_load(self, request: Reply, data: tf.Tensor) -> tuple:
        self._store.load(request["name"], request["chunk"], data)
        return _OK, None

    def _on_open(self, request: Reply, data: tf.Tensor) -> tuple:
        """Opens the shard with what it has loaded."""
        self._store.open(request["committed"])
        return _OK, None

    def _on_end(self, request: Reply, data: tf.Tensor) -> tuple:
        self._is_over = True
        return _OK, None

    def _make_store(self, segments: dict[str, int]) -> None:
        settings = self._settings
        cluster = settings.cluster
        self._segments = segments
        self._made = trunk_store.TrunkStore(
            chunks.ChunkLayout(segments, len(cluster.store)),
            self._index,
            cluster.pushers(),
            trunk_store.rmsprops_of(settings.config),
            # The others follow: what the first has committed counts.
            cluster.mode == "synchronous" and self._index == 0,
        )

    def _fail(self, message: str) -> None:
        self._failure = message
        logging.error(message)
