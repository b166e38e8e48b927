"""One worker of a task group: its loop from the first step to the last."""

from __future__ import annotations

from collections.abc import Iterator
import dataclasses
import os
import signal
import time
from typing import Any

from absl import logging
import numpy as np
import tensorflow as tf

from mtssl_tf.distribute import chunks
from mtssl_tf.distribute import coordinator
from mtssl_tf.distribute import group_report
from mtssl_tf.distribute import group_step
from mtssl_tf.distribute import pusher as pusher_lib
from mtssl_tf.distribute import settings as settings_lib
from mtssl_tf.distribute import store_client
from mtssl_tf.distribute import trunk_store
from mtssl_tf.process import stop_signal
from mtssl_tf.training import batches as batches_lib
from mtssl_tf.training import loop
from mtssl_tf.training import run

_POLL_S = 0.005

Reply = dict[str, Any]


def connect(
    settings: settings_lib.Settings,
) -> tuple[
    tf.distribute.Strategy, tf.distribute.experimental.CommunicationOptions
]:
    """Returns a worker's strategy, and options of its all-reduce.

    To be called before all other use of TensorFlow, and when all workers of
    the group are there.
    """
    role, cluster = settings.role, settings.cluster
    gpus = tf.config.list_physical_devices("GPU")
    if len(gpus) > 1:
        raise ValueError(
            f"{role} sees {len(gpus)} GPUs and uses one. Start a worker for "
            "each, with CUDA_VISIBLE_DEVICES."
        )
    kinds = tf.distribute.experimental.CommunicationImplementation
    options = tf.distribute.experimental.CommunicationOptions(
        timeout_seconds=cluster.peer_timeout_s,
        implementation=kinds.NCCL if gpus else kinds.RING,
    )
    if cluster.mode == "asynchronous":
        return tf.distribute.get_strategy(), options
    os.environ.pop("TF_CONFIG", None)
    if len(cluster.tasks[role.name]) > 1:
        os.environ["TF_CONFIG"] = cluster.tf_config(role)
        logging.info(
            "TensorFlow's collectives listen on every interface of this "
            "machine, at the port of %s, without any check of who connects. "
            "Keep the port inside a private network.",
            cluster.address(role),
        )
    # A store lost at this moment may have let one worker in and not its peer.
    # The strategy then waits for ever, deaf to Python's own signal handlers;
    # the kernel's default ends this process, and the group starts again.
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, cluster.peer_timeout_s)
    strategy = tf.distribute.MultiWorkerMirroredStrategy(
        communication_options=options
    )
    signal.setitimer(signal.ITIMER_REAL, 0)
    return strategy, options


class Worker:
    """A worker that has reported, and is connected to its group."""

    def __init__(
        self,
        settings: settings_lib.Settings,
        strategy: tf.distribute.Strategy,
        options: tf.distribute.experimental.CommunicationOptions,
        client: store_client.StoreClient,
        welcome: Reply,
        stop: stop_signal.StopSignal,
    ) -> None:
        """Builds the task of a group that is complete.

        Args:
            settings: of this role.
            strategy: of the group.
            options: of its all-reduce.
            client: connected to the store.
            welcome: what the store answered to `report_for_work`.
            stop: asks for the end of the run.
        """
        self._settings = settings
        self._stop = stop
        self._has_told_stop = False
        self._role = settings.role
        self._task = settings.role.name
        cluster = settings.cluster
        self._is_async = cluster.mode == "asynchronous"
        self._size = len(cluster.tasks[self._task])
        self._client = client
        self._run = run.build_run(
            dataclasses.replace(
                settings.config,
                tasks={self._task: settings.config.tasks[self._task]},
            ),
            settings.workdir,
            strategy,
        )
        self._step_function = group_step.GroupStep(
            self._run,
            self._task,
            self._batch_size // (self._size if self._is_async else 1),
            self._is_async,
            cluster.batch_norm,
            options,
        )
        pusher = str(self._role) if self._is_async else self._task
        self._pusher = pusher_lib.Pusher(
            self._client,
            chunks.ChunkLayout(welcome["segments"], len(cluster.store)),
            self._task,
            pusher,
            0 if self._is_async else self._role.index,
            1 if self._is_async else self._size,
            welcome["generation"],
        )
        self._step = welcome["committed"][pusher]
        self._fetch_own()
        self._report = group_report.GroupReport(
            self._task, self._batch_size, settings
        )

    @property
    def _batch_size(self) -> int:
        return self._settings.config.tasks[self._task].batch_size

    def train(self) -> Reply:
        """Trains until the store ends the run; returns its word for it.

        Raises:
            NonFiniteLossError: a loss is not a number.
            RestartError: the group must start anew from the store's state.
        """
        batches = self._start_pipeline()
        pull = None
        while True:
            # In turns the trunk is fetched when its turn has come.
            reply = self._wait_for_turn()
            if reply:
                break
            start = time.monotonic()
            finish_pull = pull or self._pusher.start_pull()
            batch = next(batches)
            waited = time.monotonic() - start
            self._step_function.assign(finish_pull())
            values, gradient, head_gradients = self._compute(batch)
            self._pusher.push(self._step, gradient)
            ended: list[Reply] = []
            if not self._pusher.commit(
                self._step,
                gradient,
                self._settings.cluster.peer_timeout_s,
                lambda reply: self._answer(reply, ended),
            ):
                reply = ended[0]
                break
            if self._settings.cluster.mode != "turns":
                pull = self._pusher.start_pull()
            self._step_function.apply(head_gradients)
            self._step += 1
            self._report.add(values, waited, time.monotonic() - start)
            self._tell_store()
        return reply

    def _start_pipeline(self) -> Iterator[Any]:
        state = self._run.states[self._task]
        return iter(
            batches_lib.build_batches(
                state.task,
                self._run.source_of(state.task).training,
                self._settings.config.train.seed,
                self._run.skipped,
                self._step * self._batch_size,
                part=(self._role.index, self._size),
            )
        )

    def _compute(self, batch: Any) -> tuple:
        values, is_finite, is_in_step, gradient, head_gradients = (
            self._step_function.compute(batch, self._step)
        )
        if not is_in_step:
            raise pusher_lib.RestartError(
                f"Workers of {self._task} are at different steps."
            )
        if not is_finite:
            path = self._settings.workdir / loop.LAST_BATCH_FILE
            np.savez(path, **{k: v.numpy() for k, v in batch.items()})
            raise loop.NonFiniteLossError(
                f"The loss of {self._task} at its step {self._step} is "
                f"{float(values['loss'])}, or its gradient is not finite. A "
                f"worker's part of the batch is in {path}. Lower "
                f"{self._task}.learning_rate, or look at the batch."
            )
        return values, gradient, head_gradients

    def _wait_for_turn(self) -> Reply | None:
        """Returns None once it is this task's turn, or the run's end."""
        ended: list[Reply] = []
        while self._settings.cluster.mode == "turns":
            reply, _ = self._client.call(
                0, {"op": "begin", "task": self._task, "step": self._step}
            )
            pusher_lib.check_in_step(reply, self._step)
            if reply["status"] == trunk_store.OK:
                break
            if self._answer(reply, ended):
                return ended[0]
            time.sleep(_POLL_S)
        return None

    def _answer(self, reply: Reply, ended: list[Reply]) -> bool:
        """Does what the store asks for meanwhile; returns whether to end."""
        if reply["status"] == coordinator.END:
            ended.append(reply)
            return True
        if reply["status"] == coordinator.DEPOSIT and self._role.is_chief:
            self._deposit(reply["step"])
        if self._stop.is_requested and not self._has_told_stop:
            self._has_told_stop = True
            self._client.call(0, {"op": "stop"})
        return False

    def _tell_store(self) -> None:
        """Sends, now and then, what is new."""
        if self._stop.is_requested and not self._has_told_stop:
            self._has_told_stop = True
            self._client.call(0, {"op": "stop"})
        if not self._role.is_chief:
            return
        is_due = self._step % self._settings.cluster.deposit_every == 0
        if is_due and not self._is_async:  # Then the store has the head.
            self._deposit(self._step)
        if self._report.is_due(self._step):
            self._client.call(0, self._report.request(self._step))

    def _deposit(self, step: int) -> None:
        vector = self._step_function.own_variables.read()
        parts = [
            vector[start : start + chunks.CHUNK_SIZE]
            for start in range(0, max(len(vector), 1), chunks.CHUNK_SIZE)
        ]
        request = {"op": "deposit", "task": self._task, "step": step}
        for index, part in enumerate(parts):
            self._client.call(
                0,
                {**request, "part": index, "count": len(parts)},
                tf.constant(part),
            )

    def _fetch_own(self) -> None:
        """Takes over the group's last deposit."""
        parts: list[np.ndarray] = []
        while True:
            request = {"op": "fetch", "task": self._task, "part": len(parts)}
            reply, data = self._client.call(0, request)
            parts.append(data.numpy())
            if len(parts) == reply["count"]:
                break
        if reply["step"] != self._step and not self._is_async:
            logging.warning(
                "The head of %s goes on from its step %d; the trunk has %d.",
                self._task,
                reply["step"],
                self._step,
            )
        self._step_function.own_variables.write(np.concatenate(parts))
        self._step_function.set_step(self._step)
