"""The first shard: it also loads, leads, logs and saves the run."""

from __future__ import annotations

import time
from typing import Any

from absl import logging
import numpy as np
import tensorflow as tf

from mtssl_tf.distribute import all_shards
from mtssl_tf.distribute import chunks
from mtssl_tf.distribute import coordinator as coordinator_lib
from mtssl_tf.distribute import gpu_hours
from mtssl_tf.distribute import joined_state
from mtssl_tf.distribute import roster
from mtssl_tf.distribute import run_status
from mtssl_tf.distribute import settings as settings_lib
from mtssl_tf.distribute import shard
from mtssl_tf.distribute import store_client
from mtssl_tf.distribute import trunk_store
from mtssl_tf.process import stop_signal
from mtssl_tf.reports import metrics_record
from mtssl_tf.reports import run_log
from mtssl_tf.training import run

Reply = dict[str, Any]

_TICK_S = 0.05
_STATUS_EVERY_S = 1.0
# For the answer to the last worker that leaves.
_LAST_WORDS_S = 0.5
_OK = {"status": trunk_store.OK}


class LeadingShard(shard.Shard):
    """store/0."""

    def __init__(self, settings: settings_lib.Settings) -> None:
        """Builds the run and goes to its last checkpoint.

        Raises:
            ValueError: the settings, or the data, cannot be used.
            OSError: files are missing.
        """
        self._coordinator = coordinator_lib.Coordinator(
            settings.cluster, settings.config, settings.num_steps()
        )
        self._is_loaded = False
        self._log: run_log.RunLog | None = None  # None in a calibration.
        self._seconds: dict[str, float] = {}
        self._prices = _load_prices(settings)
        self._is_snapshot_due = False
        self._joined = joined_state.JoinedState(
            run.build_run(
                settings.config,
                settings.workdir,
                tf.distribute.get_strategy(),
            ),
            settings.workdir,
            settings.cluster.mode == "asynchronous",
        )
        super().__init__(settings)
        self._status = run_status.RunStatus(settings)
        self._shards = all_shards.AllShards(
            settings, self._joined, super()._handle
        )

    def serve(self, stop: stop_signal.StopSignal) -> str:
        """Leads the run until it is over; returns why it failed, or ''."""
        self._shards.wait_for_others()
        self._load(self._status.steps_before())
        done = self._coordinator.num_done
        if not self._settings.is_calibration:
            self._log = run_log.RunLog(self._settings.workdir, done)
        if self._coordinator.must_end and not self._coordinator.is_held:
            self._coordinator.fail("")  # All is saved.
        self._is_loaded = True
        logging.info(
            "The store is open at step %d. Held-out examples are judged and "
            "drawn by one machine alone, from a checkpoint.",
            done,
        )
        next_status = 0.0
        while not self._coordinator.is_over:
            time.sleep(_TICK_S)
            if stop.is_requested:
                with self._lock:
                    self._coordinator.stop()
            if self._coordinator.is_held:
                self._save_if_whole()
            if time.monotonic() > next_status:
                next_status = time.monotonic() + _STATUS_EVERY_S
                self._status.write(self._coordinator.steps)
                self._recover_shards()
        self._finish(stop)
        return self._coordinator.message

    def _finish(self, stop: stop_signal.StopSignal) -> None:
        if self._seconds and self._settings.is_calibration:
            gpu_hours.save_seconds(self._settings.workdir, self._seconds)
        coordinator = self._coordinator
        self._status.write(coordinator.steps, coordinator.message, True)
        self._wait_for_workers(stop)
        self._shards.end_others()
        if self._log:
            self._log.close()

    def _wait_for_workers(self, stop: stop_signal.StopSignal) -> None:
        """Stays until all workers know that the run is over.

        Those also that this process has never heard of: they may know a store
        before this one, or be starting. They would look for it in vain.
        """
        roster_ = self._coordinator.roster
        deadline = time.monotonic() + self._settings.cluster.store_timeout_s
        next_status = 0.0
        while time.monotonic() < deadline:
            # Those that are starting when all are told to stop just end.
            has_left = roster_.all_left
            if stop.is_requested:
                has_left = roster_.all_at_work_left
            if has_left():
                break
            time.sleep(_TICK_S)
            if time.monotonic() > next_status:
                next_status = time.monotonic() + _STATUS_EVERY_S
                self._shards.find_closed()  # They stay while they are asked.
        time.sleep(_LAST_WORDS_S)

    # What other processes ask for.

    def _handle(self, request: Reply, data: tf.Tensor) -> tuple:
        if request["op"] in _LEADING and not self._is_loaded:
            return {"status": trunk_store.LOADING}, None
        return super()._handle(request, data)

    def _on_hello(self, request: Reply, data: tf.Tensor) -> tuple:
        with self._lock:
            if self._coordinator.is_over:
                self._coordinator.roster.leave(request["role"])
                message = self._coordinator.message
                return {"status": coordinator_lib.END, "message": message}, None
            reply = self._coordinator.roster.hello(request)
            if reply["status"] == roster.GO:
                reply["segments"] = self._segments
                reply["committed"] = self._store.committed
            return reply, None

    def _on_begin(self, request: Reply, data: tf.Tensor) -> tuple:
        with self._lock:
            committed = self._coordinator.steps[request["task"]]
            if request["step"] > committed:
                return {"status": trunk_store.AHEAD, "step": committed}, None
            return self._coordinator.is_turn_of(request["task"]) or _OK, None

    def _on_commit(self, request: Reply, data: tf.Tensor) -> tuple:
        with self._lock:
            committed = self._store.committed
            task = request["pusher"].split("/")[0]
            self._coordinator.roster.note_at_work(task)
            if request["step"] >= committed[request["pusher"]]:
                verdict = self._coordinator.may_go_on(task)
                if verdict and verdict["status"] != coordinator_lib.END:
                    # A worker must notice that a peer is gone also while a
                    # checkpoint, which may need that peer, holds commits up.
                    prepared = self._store.prepare(**request)
                    if prepared["status"] == trunk_store.INCOMPLETE:
                        return prepared, None
                if verdict:
                    return verdict, None
            reply = self._store.commit(**request)
            if self._store.committed != committed:
                self._count()
            return reply, None

    def _on_deposit(self, request: Reply, data: tf.Tensor) -> tuple:
        with self._lock:
            self._coordinator.deposit(data=data.numpy(), **request)
        return _OK, None

    def _on_fetch(self, request: Reply, data: tf.Tensor) -> tuple:
        step, vector = self._coordinator.deposited(request["task"])
        starts = range(0, max(len(vector), 1), chunks.CHUNK_SIZE)
        start = starts[request["part"]]
        part = vector[start : start + chunks.CHUNK_SIZE]
        return {**_OK, "step": step, "count": len(starts)}, tf.constant(part)

    def _on_report(self, request: Reply, data: tf.Tensor) -> tuple:
        with self._lock:
            record = metrics_record.MetricsRecord(**request["record"])
            self._seconds[record.task] = request["seconds_per_step"]
            task = self._joined.run.states[record.task].task
            if self._log:
                self._log.write(
                    self._coordinator.num_done, record, task.chance()
                )
            self._status.note(record)
        return _OK, None

    def _on_stop(self, request: Reply, data: tf.Tensor) -> tuple:
        with self._lock:
            self._coordinator.stop()
        return _OK, None

    def _on_leave(self, request: Reply, data: tf.Tensor) -> tuple:
        with self._lock:
            if request["failure"]:
                self._coordinator.fail(request["failure"])
            self._coordinator.roster.leave(request["role"])
        return _OK, None

    def _fail(self, message: str) -> None:
        with self._lock:
            self._coordinator.fail(message)

    def _count(self) -> None:
        before = dict(self._coordinator.steps)
        pushers = self._settings.cluster.pushers()
        totals = {task: 0 for task in before}
        sizes = {task: 0 for task in before}
        for pusher, count in self._store.committed.items():
            totals[pushers[pusher]] += count
            sizes[pushers[pusher]] += 1
        # Asynchronous workers commit parts of a batch each.
        steps = {task: totals[task] // sizes[task] for task in totals}
        self._coordinator.count(steps)
        if self._prices and self._prices.crosses(
            before, steps, self._settings.snapshot_every
        ):
            self._is_snapshot_due = True
            self._coordinator.hold()

    # Loading and saving.

    def _load(self, steps_before: int) -> None:
        """Fills every shard from the last checkpoint."""
        steps = self._joined.start_steps()
        if not self._settings.is_calibration:
            steps = self._joined.restore()
        owned = {
            task: (count, self._joined.own_variables(task).read())
            for task, count in steps.items()
        }
        self._shards.open_from_checkpoint(steps)
        self._coordinator.start_at(steps, owned)
        self._count()
        lost = steps_before - self._coordinator.num_done
        if lost > 0:
            logging.warning(
                "The store was lost. It goes on from its state after %d "
                "steps; %d that were made since are lost. It is saved every "
                "%d steps.",
                self._coordinator.num_done,
                lost,
                self._settings.config.train.save_every,
            )

    def _recover_shards(self) -> None:
        """Brings back a shard that has restarted, and with it all others."""
        closed = self._shards.find_closed()
        if not closed:
            return
        for index in closed:
            logging.warning("store/%d has restarted.", index)
        try:
            with self._lock:
                self._load(self._coordinator.num_done)
        except store_client.StoreError as error:
            logging.warning("%s Trying again.", error)

    def _save_if_whole(self) -> None:
        with self._lock:
            coordinator = self._coordinator
            deposits = coordinator.deposits_to_save()
            if deposits is None:
                return
            if not self._settings.is_calibration:
                try:
                    self._save(deposits)
                except OSError as error:
                    self._fail(str(error))
                    return
                except store_client.StoreError as error:
                    logging.warning("%s Saving again.", error)
                    return
            coordinator.release()

    def _save(self, deposits: dict[str, np.ndarray]) -> None:
        steps = self._coordinator.steps
        # Deposits first: of heads in the store they have an old copy.
        self._joined.set_deposits(deposits, steps)
        self._shards.collect()
        self._joined.save(steps)
        if self._is_snapshot_due and self._prices:
            hours = self._prices.of(steps)
            folder = gpu_hours.snapshot_folder(self._settings.workdir, hours)
            self._joined.save(steps, folder)
            self._is_snapshot_due = False
            logging.info("Snapshot at %.4f GPU hours in %s.", hours, folder)


_LEADING = (
    "hello",
    "begin",
    "commit",
    "deposit",
    "fetch",
    "report",
    "stop",
    "leave",
)


def _load_prices(
    settings: settings_lib.Settings,
) -> gpu_hours.GpuHours | None:
    if not settings.snapshot_every or settings.is_calibration:
        return None
    cluster = settings.cluster
    return gpu_hours.GpuHours(
        gpu_hours.load_seconds(settings.workdir, cluster.tasks),
        {task: len(hosts) for task, hosts in cluster.tasks.items()},
    )
