"""One worker of a task group: its loop from the first step to the last."""

from __future__ import annotations

from collections.abc import Iterator
import concurrent.futures
import contextlib
import dataclasses
import pathlib
import time
from typing import Any

import numpy as np
import tensorflow as tf

from mtssl_tf import config as config_lib
from mtssl_tf import weighting
from mtssl_tf.distribute import coordinator
from mtssl_tf.distribute import options as options_lib
from mtssl_tf.distribute import shard as shard_lib
from mtssl_tf.distribute import step as step_lib
from mtssl_tf.process import memory
from mtssl_tf.reports import metrics_record
from mtssl_tf.reports import metrics_window
from mtssl_tf.training import gpu_hours
from mtssl_tf.training import half_batches
from mtssl_tf.training import non_finite
from mtssl_tf.training import out_of_memory
from mtssl_tf.training import pipelines
from mtssl_tf.training import run as run_lib
from mtssl_tf.weighting import weighing

_PAUSE_S = 0.02


class GroupError(RuntimeError):
    """The whole group must start again from what the store has."""


@dataclasses.dataclass(frozen=True)
class Job:
    """What a worker is started with.

    Attributes:
        config: the run's settings.
        workdir: the run directory, which all hosts see.
        options: of the cluster.
        task: whose group this is.
        rank: of the worker in it.
        size: of the group.
        generation: of the group.
        step: that the task is at.
        deposit: what the group owned when it last handed it in, float32 [n].
    """

    config: config_lib.RunConfig
    workdir: pathlib.Path
    options: options_lib.ClusterOptions
    task: str
    rank: int
    size: int
    generation: int
    step: int
    deposit: np.ndarray

    @property
    def is_alone(self) -> bool:
        """Whether the worker commits without its group."""
        return self.options.mode == "asynchronous"

    @property
    def sender(self) -> str:
        """The name that its gradients are committed under."""
        return f"{self.task}/{self.rank}" if self.is_alone else self.task


class Worker:
    """A worker that is connected to its group."""

    def __init__(
        self,
        job: Job,
        store: Any,  # actors.RayStore, or what stands for it in a test
        strategy: tf.distribute.Strategy,
        options: tf.distribute.experimental.CommunicationOptions,
    ) -> None:
        """Builds the task and goes to the store's state of it."""
        memory.keep_freed_memory()
        self._job = job
        self._store = store
        self._config = job.config.tasks[job.task]
        self._run = run_lib.build_run(
            dataclasses.replace(job.config, tasks={job.task: self._config}),
            job.workdir,
            strategy,
        )
        self._state = self._run.states[job.task]
        batch_size = self._config.batch_size // (
            job.size if job.is_alone else 1
        )
        self._halves: half_batches.HalfBatches | None = None
        if weighting.measures_halves(job.config.train.weighting):
            self._halves = half_batches.HalfBatches(
                strategy, self._state, batch_size
            )
        self._step_function = step_lib.GroupStep(
            self._run,
            job.task,
            batch_size,
            job.is_alone,
            job.options.batch_norm,
            options,
        )
        self._step_function.own_variables.write(job.deposit)
        self._step_function.set_step(job.step)
        self._vector = np.empty(
            sum(self._step_function.stored_sizes()), np.float32
        )
        self._step = job.step
        self._admitted_s = 0.0
        self._window = metrics_window.MetricsWindow()
        self._threads = concurrent.futures.ThreadPoolExecutor(2)

    def train(self) -> None:
        """Trains until the store ends the run.

        Raises:
            NonFiniteLossError: a loss is not a number.
            GroupError: the group must start anew from the store's state.
            OutOfMemoryError: names task, batch and what helps.
            SourceError, OSError: its data cannot be used.
        """
        try:
            with (
                out_of_memory.explained(
                    self._job.config, self._job.task, has_parts=False
                ),
                contextlib.closing(
                    pipelines.start_pipeline(
                        self._run,
                        self._job.task,
                        self._step,
                        part=(self._job.rank, self._job.size),
                    )
                ) as batches,
            ):
                self._train(batches)
        except tf.errors.OpError as error:
            # Its message is a page, and says little more.
            raise GroupError(
                f"A worker of {self._job.task} is gone or frozen "
                f"({type(error).__name__})."
            ) from None

    def _train(self, batches: Iterator[Any]) -> None:
        use_overlap = self._job.options.use_overlap
        coming = self._threads.submit(self._begin, self._step)
        travelling = None  # the commit under way, and what the head waits for
        while True:
            start = time.monotonic()
            batch = next(batches)
            came = time.monotonic()
            if travelling is None:
                if not self._take_over(coming):
                    return
                # Others' turns are no part of a step.
                start = max(start, self._admitted_s)
            waited = max(0.0, came - start)
            consistency = self._compare_halves(batch)
            values, gradient, head_gradients = self._compute(batch)
            if travelling:
                # One step old: what came of the step before the last.
                if not self._finish(*travelling):
                    return
                if not self._take_over(coming):
                    return
            commit = self._threads.submit(
                self._commit,
                self._step,
                gradient.numpy(),
                float(values[metrics_record.LOSS]),
                consistency,
            )
            self._step += 1
            if use_overlap:
                travelling = (commit, head_gradients)
                coming = self._threads.submit(
                    self._begin_after, commit, self._step + 1
                )
            elif not self._finish(commit, head_gradients):
                return
            self._window.add(
                values,
                self._config.batch_size,
                waited,
                time.monotonic() - start,
            )
            self._tell_store()
            if not use_overlap:
                coming = self._threads.submit(self._begin, self._step)

    def _take_over(self, coming: concurrent.futures.Future) -> bool:
        """Computes with the trunk that came from now on."""
        trunk = coming.result()
        if trunk is None:
            return False
        self._step_function.assign(tf.constant(trunk))
        return True

    def _finish(
        self, commit: concurrent.futures.Future, head_gradients: Any
    ) -> bool:
        """Steps the head once its gradient's commit is acknowledged."""
        if not commit.result():
            return False
        self._step_function.apply(head_gradients)
        return True

    def _compute(self, batch: Any) -> tuple:
        values, is_finite, is_in_step, gradient, head_gradients = (
            self._step_function.compute(batch, self._step)
        )
        if not is_in_step:
            raise GroupError(
                f"Workers of {self._job.task} are at different steps."
            )
        if not is_finite:
            path = self._job.workdir / non_finite.BATCH_FILE
            # All workers of a group come here at once, each with its part.
            non_finite.fail(
                self._job.task,
                f"at its step {self._step}",
                float(values[metrics_record.LOSS]),
                {name: value.numpy() for name, value in batch.items()},
                path.with_stem(
                    f"{path.stem}_{self._job.task}_{self._job.rank}"
                ),
            )
        return values, gradient, head_gradients

    def _begin_after(
        self, commit: concurrent.futures.Future, step: int
    ) -> np.ndarray | None:
        return self._begin(step) if commit.result() else None

    def _begin(self, step: int) -> np.ndarray | None:
        """Returns the trunk (and stored head) to compute with, float32 [P]."""
        while True:
            reply = self._store.begin(
                self._job.task, self._job.generation, step
            )
            if reply.status == coordinator.OK:
                self._admitted_s = time.monotonic()
                parts = self._store.fetch(reply.trunk)
                # Copied: what is fetched may be memory that others share. And
                # always into the same memory: new pages take longer.
                return np.concatenate(
                    [
                        part[segment]
                        for segment in self._segments()
                        for part in parts
                    ],
                    out=self._vector,
                )
            if not self._answer(reply, step):
                return None

    def _segments(self) -> list[str]:
        return [shard_lib.TRUNK] + [self._job.task] * self._job.is_alone

    def _compare_halves(self, batch: Any) -> float | None:
        """Measures, now and then, what a rule of shares asks for."""
        if self._halves is None or not weighing.is_measured(self._step):
            return None
        return self._halves.measure(batch)

    def _commit(
        self,
        step: int,
        gradient: np.ndarray,
        loss: float,
        consistency: float | None,
    ) -> bool:
        """Returns once a gradient is applied, or false where the run ends.

        Args:
            step: of the task.
            gradient: for the store, float32 [P].
            loss: of the batch.
            consistency: of its halves; None where not measured.
        """
        job = self._job
        commit = shard_lib.Commit(
            job.sender,
            job.task,
            job.generation,
            step,
            self._learning_rate(step),
            loss=loss,
            consistency=consistency,
        )
        slices = self._slices(gradient)
        shards = list(slices)
        self._store.stage(slices, job.sender, job.generation, step)
        while True:
            reply = self._store.commit(commit, job.rank, shards)
            if reply.status == coordinator.OK:
                return True
            if not self._answer(reply, step):
                return False

    def _slices(self, gradient: np.ndarray) -> dict[int, dict[str, np.ndarray]]:
        """Returns this worker's part of a gradient by shard and segment.

        Each shard gets the group's sum from one worker alone.
        """
        num_shards = self._job.options.store_shards
        sizes = self._step_function.stored_sizes()
        starts = np.cumsum([0, *sizes])
        wire = self._job.options.wire
        slices: dict[int, dict[str, np.ndarray]] = {}
        for shard in range(num_shards):
            # Ranks far from each other, so that they are of several hosts.
            rank = shard * self._job.size // num_shards
            if not self._job.is_alone and rank != self._job.rank:
                continue
            slices[shard] = {}
            for segment, first, size in zip(self._segments(), starts, sizes):
                start, stop = shard_lib.bounds(size, num_shards)[shard]
                slices[shard][segment] = shard_lib.to_wire(
                    gradient[first + start : first + stop], wire
                )
        return slices

    def _learning_rate(self, step: int) -> float:
        rate = self._state.task.learning_rate()
        # Not a Python number: TensorFlow keeps a tensor of each for ever.
        return float(rate(np.int64(step))) if callable(rate) else float(rate)

    def _answer(self, reply: coordinator.Reply, step: int) -> bool:
        """Does what the store asks for meanwhile; returns whether to go on.

        Raises:
            GroupError: the group is not what the store takes it for.
        """
        if reply.status == coordinator.END:
            return False
        if reply.status in (coordinator.STALE, coordinator.AHEAD):
            raise GroupError(
                f"The store has another state of {self._job.task} than its "
                f"worker {self._job.rank} at step {step} ({reply.status})."
            )
        if reply.status == coordinator.DEPOSIT:
            if self._job.rank == 0:
                self._deposit(step)
            else:
                time.sleep(_PAUSE_S)
        return True

    def _tell_store(self) -> None:
        """Sends, now and then, what is new."""
        job = self._job
        if job.rank:
            return
        is_due = self._step % job.options.deposit_every == 0
        # With a gradient under way the head is a step behind the count.
        if is_due and not (job.is_alone or job.options.use_overlap):
            self._deposit(self._step)
        every = job.config.train.log_every
        if job.options.is_calibration:
            every = gpu_hours.NUM_MEASURED
        if self._step % every == 0:
            self._report(self._step)

    def _report(self, step: int) -> None:
        """Tells of the steps since the last time."""
        if not self._window.num_steps:
            return
        record = metrics_record.MetricsRecord(
            self._job.task,
            step,
            metrics_record.TRAIN,
            self._window.means(),
            self._window.rates(),
            self._state.model.mixing_weights(),
        )
        # Each worker has a GPU of its own.
        median_s = self._window.median_step_s(gpu_hours.NUM_WARM_UP)
        self._store.report(record, self._job.size * median_s)
        self._window.clear()

    def _deposit(self, step: int) -> None:
        # Who goes on from it knows nothing of the steps before. Not where
        # another thread adds steps at the same time; and a calibration is not
        # gone on with.
        options = self._job.options
        if not (options.use_overlap or options.is_calibration):
            self._report(step)
        self._store.deposit(
            self._job.task,
            self._job.generation,
            step,
            self._step_function.own_variables.read(),
        )
