"""One worker's part in the exchange of its task's gradients with the store."""

from __future__ import annotations

from collections.abc import Callable
import threading
import time
from typing import Any

import tensorflow as tf

from mtssl_tf.distribute import chunks
from mtssl_tf.distribute import store_client
from mtssl_tf.distribute import trunk_store

# Between questions whether a commit is made; doubles up to the second.
_POLL_S = (0.001, 0.02)
_PUSH_AGAIN_S = 1.0

Reply = dict[str, Any]


class RestartError(RuntimeError):
    """This process must start again from what the store has."""


class Pusher:
    """Pushes gradients, has them committed, pulls what they have changed."""

    def __init__(
        self,
        client: store_client.StoreClient,
        layout: chunks.ChunkLayout,
        task: str,
        pusher: str,
        worker: int,
        num_workers: int,
        generation: int,
    ) -> None:
        self._client = client
        self._places = layout.of_task(task)
        self._mine = self._places[worker::num_workers]
        self._num_shards = layout.num_shards
        self._identity = {"pusher": pusher, "generation": generation}

    def push(self, step: int, gradient: tf.Tensor) -> None:
        """Sends this worker's chunks of a gradient, float32 [P]."""
        replies = self._client.call_all(
            [
                (
                    chunk.shard,
                    self._request("push", step, chunk=chunk.name),
                    gradient[place],
                )
                for chunk, place in self._mine
            ]
        )
        for reply, _ in replies:
            check_in_step(reply, step)

    def commit(
        self,
        step: int,
        gradient: tf.Tensor,
        timeout_s: float,
        on_wait: Callable[[Reply], bool],
    ) -> bool:
        """Waits until the whole group's gradient is applied everywhere.

        Every worker of a group does; the first one that finds the gradient
        whole makes the commit, for the others it is made already.

        Args:
            step: of the task.
            gradient: what `push` sent, to send again after a shard was lost.
            timeout_s: how long chunks of other workers may be missing.
            on_wait: gets replies other than these; true gives up the commit.

        Returns:
            Whether the gradient was applied.
        """
        # Also where this task has no chunk: all shards count its steps.
        others = range(1, self._num_shards)
        orders = [("prepare", shard) for shard in others]
        # The first shard decides whether the step counts.
        orders += [("commit", shard) for shard in [0, *others]]
        return all(
            self._insist(op, shard, step, gradient, timeout_s, on_wait)
            for op, shard in orders
        )

    def _insist(
        self,
        op: str,
        shard: int,
        step: int,
        gradient: tf.Tensor,
        timeout_s: float,
        on_wait: Callable[[Reply], bool],
    ) -> bool:
        start = pushed = time.monotonic()
        pause = _POLL_S[0]
        while True:
            reply, _ = self._client.call(shard, self._request(op, step))
            check_in_step(reply, step)
            if reply["status"] == trunk_store.OK:
                return True
            now = time.monotonic()
            if reply["status"] != trunk_store.INCOMPLETE:
                if on_wait(reply):
                    return False
                start = now
            elif now - start > timeout_s:
                raise RestartError(
                    f"{reply['missing']} of step {step} did not come within "
                    f"{timeout_s:.0f} s: a worker of this group is gone."
                )
            elif now - pushed > _PUSH_AGAIN_S:
                self.push(step, gradient)
                pushed = now
            time.sleep(pause)
            pause = min(2 * pause, _POLL_S[1])

    def start_pull(self) -> Callable[[], tf.Tensor]:
        """Asks for this worker's chunks of the task's vector.

        Returns:
            A function that waits for them: float32 [P], zero where chunks are
            for other workers to fetch, so that the group's sum is the whole.
        """
        result: list[Any] = []

        def pull() -> None:
            requests = [
                (chunk.shard, {"op": "pull", "chunk": chunk.name}, None)
                for chunk, _ in self._mine
            ]
            try:
                replies = self._client.call_all(requests)
            except store_client.StoreError as error:
                result.append(error)
                return
            fetched = {
                chunk.name: values
                for (chunk, _), (_, values) in zip(self._mine, replies)
            }
            parts = [
                fetched[chunk.name]
                if chunk.name in fetched
                else tf.zeros([chunk.stop - chunk.start])
                for chunk, _ in self._places
            ]
            result.append(tf.concat(parts, 0))

        thread = threading.Thread(target=pull, daemon=True)
        thread.start()

        def finish() -> tf.Tensor:
            thread.join()
            if isinstance(result[0], store_client.StoreError):
                raise result[0]
            return result[0]

        return finish

    def _request(self, op: str, step: int, **more: Any) -> Reply:
        return {"op": op, "step": step, **self._identity, **more}


def check_in_step(reply: Reply, step: int) -> None:
    """Raises RestartError where the store and this process have parted."""
    if reply["status"] == trunk_store.AHEAD:
        raise RestartError(
            f"The store has lost steps {reply['step']} to {step} of this "
            "task; going back to what it has."
        )
    if reply["status"] == trunk_store.STALE:
        raise RestartError("This task's group has been started anew.")
