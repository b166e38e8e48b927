"""A run on a cluster: starts store and groups, shows progress, saves, ends.

The command is the run's driver. It starts an *epoch* of the store (shards and
coordinator) from the last joint checkpoint and a supervisor for each group,
writes what groups report and what the coordinator has cut, and begins anew
from the last checkpoint where a part of the store dies.
"""

from __future__ import annotations

import contextlib
import functools
import pathlib
import time
from typing import Any

from absl import logging
import ray
from ray import exceptions
import tensorflow as tf

from mtssl_tf import config as config_lib
from mtssl_tf.distribute import actors
from mtssl_tf.distribute import coordinator as coordinator_lib
from mtssl_tf.distribute import group
from mtssl_tf.distribute import hosts
from mtssl_tf.distribute import joint_checkpoint
from mtssl_tf.distribute import options as options_lib
from mtssl_tf.distribute import shard as shard_lib
from mtssl_tf.distribute import telling
from mtssl_tf.distribute import worker
from mtssl_tf.process import paths
from mtssl_tf.process import stop_signal
from mtssl_tf.training import cost_table
from mtssl_tf.training import environment
from mtssl_tf.training import gpu_hours
from mtssl_tf.training import run as run_lib
from mtssl_tf.training import run_directory
from mtssl_tf.training import snapshot

STOP_FILE = "stop"
_TICK_S = 0.1
_STATUS_EVERY_S = 1.0
_SAY_AFTER_S = 30.0  # ours: that shards have not started
_MAX_EPOCHS = 10  # ours, in a row without a checkpoint
_END_TIMEOUT_S = 60.0


class GoBackError(RuntimeError):
    """All go back to the last checkpoint: something is gone that nobody has."""


class ClusterRun:
    """A run from its last joint checkpoint to its last step."""

    def __init__(
        self,
        config: config_lib.RunConfig,
        workdir: pathlib.Path,
        options: options_lib.ClusterOptions,
    ) -> None:
        """Builds the run in this process, which saves it.

        Raises:
            ValueError: a host lacks something, or the settings cannot be run.
            OSError: files are missing.
        """
        self._config = config
        self._workdir = workdir
        self._options = options
        tf.config.set_visible_devices([], "GPU")
        data = [
            (kind, folder)
            for kind in sorted(config.sources())
            for folder in paths.local_folders(getattr(config.data, kind))
        ]
        hosts.check_hosts(workdir, data)
        environment.record(workdir)
        self._run = run_lib.build_run(
            config, workdir, tf.distribute.get_strategy()
        )
        for name, state in self._run.states.items():
            # Of a blind guess among a batch: what it is told apart from.
            state.task.num_parts = options.num_parts(
                name, state.task.config.pictures_per_batch
            )
        self._joint = joint_checkpoint.JointCheckpoint(
            self._run,
            workdir,
            options.store_shards,
            options.mode == "asynchronous",
        )
        self._steps = self._restore()
        self._num_steps = config.train.steps
        self._prices: gpu_hours.GpuHours | None = None
        if options.is_calibration:
            # Every task has as many turns, whatever its weight.
            self._num_steps = gpu_hours.NUM_MEASURED * len(config.tasks)
        else:
            self._prices = _find_prices(workdir, config)
        self._telling = telling.Telling(
            self._run,
            workdir,
            self._steps,
            self._num_steps,
            has_log=not options.is_calibration,
        )
        self._told: dict[str, Any] = {}
        self._reached_at = 0.0  # when all shards answered last

    def train(self, stop: stop_signal.StopSignal) -> str:
        """Trains; returns why the run failed, or ''."""
        failures = 0
        while True:
            before = dict(self._steps)
            try:
                message = self._run_epoch(stop)
                break
            except (GoBackError, exceptions.RayError) as error:
                failures = 0 if self._steps != before else failures + 1
                lost = sum(self._told.get("steps", before).values())
                logging.warning(
                    "%s The run goes on from its state after %d steps; %d "
                    "that were made since are lost. It is saved every %d.",
                    error,
                    sum(self._steps.values()),
                    lost - sum(self._steps.values()),
                    self._config.train.save_every,
                )
                message = ""
                if stop.is_requested:
                    break  # what is saved is all there is
                if failures > _MAX_EPOCHS:
                    message = (
                        f"The run went back to step {sum(before.values())} "
                        f"{failures} times in a row. The last time: {error}"
                    )
                    break
        if self._telling.seconds and self._options.is_calibration:
            self._save_seconds()
        end = "done" if not stop.is_requested else f"stopped by {stop.name}"
        self._telling.finish(
            f"step {sum(self._steps.values())}: {message or f'saved, {end}'}."
        )
        return message

    def _run_epoch(self, stop: stop_signal.StopSignal) -> str:
        """Runs store and groups until the run's end."""
        if sum(self._steps.values()) >= self._num_steps:
            return ""
        with contextlib.ExitStack() as stack:
            shards = self._start_shards(stack)
            if not self._have_started(shards, stop):
                return ""
            coordinator = self._start_coordinator(stack, shards)
            names = [f"store/{index}" for index in range(len(shards))]
            places = ray.get(actors.ask_where([*shards, coordinator]))
            roles = dict(zip([*names, "coordinator"], places))
            store = actors.RayStore(
                coordinator, shards, self._options.peer_timeout_s
            )
            groups = {
                name: group.GroupSupervisor(
                    name,
                    self._config.tasks[name].pictures_per_batch,
                    self._options,
                    coordinator,
                    store,
                    functools.partial(
                        worker.Job, self._config, self._workdir, self._options
                    ),
                )
                for name in self._config.tasks
            }
            for each in groups.values():
                stack.callback(each.close)
                each.start()
            return self._see_through(coordinator, shards, roles, groups, stop)

    def _restore(self) -> dict[str, int]:
        """Goes to the last joint checkpoint; returns the steps of each task."""
        if self._options.is_calibration:
            return dict.fromkeys(self._config.tasks, 0)
        return self._joint.restore()

    def _start_shards(self, stack: contextlib.ExitStack) -> list[Any]:
        """Starts an epoch of the store at the last joint checkpoint."""
        self._steps = self._restore()
        if self._told:  # not at the start, which it knows
            self._telling.go_back(self._steps)
        train = self._config.train
        shards = actors.start_shards(
            self._options,
            shard_lib.Rmsprop(train.rms_decay, train.momentum, train.epsilon),
        )
        for shard in shards:
            stack.callback(ray.kill, shard)
        return shards

    def _have_started(
        self, shards: list[Any], stop: stop_signal.StopSignal
    ) -> bool:
        """Waits for shards, however long; returns false where it is to stop."""
        waiting = actors.ask_where(shards)
        say_at = time.monotonic() + _SAY_AFTER_S
        while waiting and not stop.is_requested:
            _, waiting = ray.wait(
                waiting, num_returns=len(waiting), timeout=_TICK_S
            )
            if waiting and time.monotonic() > say_at:
                say_at = float("inf")
                logging.warning(
                    "%d of the store's %d shards have not started. Each takes "
                    "a CPU, and %g are free. Waiting. Add hosts, or give a "
                    "smaller --store_shards.",
                    len(waiting),
                    len(shards),
                    ray.available_resources().get("CPU", 0),
                )
        return not waiting

    def _start_coordinator(
        self, stack: contextlib.ExitStack, shards: list[Any]
    ) -> Any:
        """Loads the shards, and starts who tells them what to do."""
        ray.get(
            [
                shard.load.remote(self._joint.shard_arrays(index))
                for index, shard in enumerate(shards)
            ]
        )
        coordinator = actors.start_coordinator(
            self._options,
            self._plan(),
            shards,
            self._steps,
            self._joint.deposits(),
        )
        stack.callback(ray.kill, coordinator)
        return coordinator

    def _plan(self) -> coordinator_lib.Plan:
        options, train = self._options, self._config.train
        weights = {n: t.weight for n, t in self._config.tasks.items()}
        if options.is_calibration:
            weights = dict.fromkeys(weights, 1.0)
            since: dict[str, int] = {}
        else:
            since = run_directory.load_start_of_weights(
                self._workdir, weights, self._steps
            )
        return coordinator_lib.Plan(
            self._num_steps,
            train.save_every,
            weights,
            options.mode,
            options.store_shards,
            options.away_timeout_s,
            0.0 if options.is_calibration else train.snapshot_every,
            self._prices.seconds if self._prices else {},
            since,
            None if options.is_calibration else self._joint.weighing,
        )

    def _see_through(
        self,
        coordinator: Any,
        shards: list[Any],
        roles: dict[str, Any],
        groups: dict[str, group.GroupSupervisor],
        stop: stop_signal.StopSignal,
    ) -> str:
        was_told = False
        next_status = 0.0
        self._reached_at = time.monotonic()
        while True:
            if stop.is_requested and not was_told:
                was_told = True
                self._ask(coordinator.stop.remote())
            told = self._told = self._ask(coordinator.status.remote())
            self._telling.take(told)
            if told["is_over"]:
                break
            if told["is_torn"]:
                raise GoBackError("A part of the store is gone within a step.")
            if told["behind"]:
                raise GoBackError(
                    f"The group of {told['behind']} died, and its head's last "
                    "steps with it."
                )
            self._save_if_cut(coordinator)
            if time.monotonic() > next_status:
                next_status = time.monotonic() + _STATUS_EVERY_S
                self._telling.write_status(told, roles, groups)
                self._ping(shards)
            self._telling.show(told)
            time.sleep(_TICK_S)
        self._wait_for(groups)
        self._telling.write_status(told, roles, groups)
        return told["message"]

    def _wait_for(self, groups: dict[str, group.GroupSupervisor]) -> None:
        """Lets workers leave by themselves."""
        deadline = time.monotonic() + _END_TIMEOUT_S
        while time.monotonic() < deadline:
            if not any(each.is_running() for each in groups.values()):
                return
            time.sleep(_TICK_S)

    def _save_if_cut(self, coordinator: Any) -> None:
        cut = self._ask(coordinator.take_cut.remote())
        if cut is None:
            return
        # What groups told before they handed in is not told again by who goes
        # on from it.
        self._telling.take(self._ask(coordinator.status.remote()))
        for task, step in cut.late.items():
            logging.warning(
                "The group of %s is away: this checkpoint has its head as "
                "after %d of its steps, and %d of them in the trunk.",
                task,
                step,
                cut.steps[task],
            )
        try:
            if not self._options.is_calibration:
                self._save(cut)
        except OSError as error:
            self._ask(coordinator.fail.remote(str(error)))
            return
        if cut.is_last:
            self._ask(coordinator.end.remote())

    def _save(self, cut: coordinator_lib.Cut) -> None:
        self._telling.sync()
        dumps = [self._ask(part[0]) for part in cut.shards]
        if cut.gpu_hours is not None:
            snapshot.keep_at_cost(
                self._workdir,
                cut.gpu_hours,
                sum(cut.steps.values()),
                lambda folder: self._joint.save(
                    cut.steps, cut.deposits, dumps, cut.weighing, folder
                ),
            )
        self._joint.save(cut.steps, cut.deposits, dumps, cut.weighing)
        self._steps = dict(cut.steps)

    def _save_seconds(self) -> None:
        """Writes what `--calibrate` has measured."""
        resources = ray.cluster_resources()
        kind = "GPU" if resources.get("GPU") else "CPU"
        own = self._workdir / run_directory.SECONDS_FILE
        cost_table.save(
            pathlib.Path(self._config.train.costs or own),
            self._config,
            f"a Ray cluster of {resources[kind]:g} {kind}s",
            self._telling.seconds,
        )

    def _ping(self, shards: list[Any]) -> None:
        """Finds out whether shards live, by calls that may be repeated.

        Raises:
            GoBackError: one is gone, or out of reach for too long.
        """
        try:
            self._ask(actors.ask_where(shards))
        except GoBackError as error:
            away_s = time.monotonic() - self._reached_at
            is_out_of_reach = isinstance(
                error.__cause__, exceptions.ActorUnavailableError
            )
            if is_out_of_reach and away_s < self._options.peer_timeout_s:
                return
            raise
        self._reached_at = time.monotonic()

    def _ask(self, calls: Any) -> Any:
        """Waits for answers of the store.

        Raises:
            GoBackError: a part of it is gone or frozen.
        """
        try:
            return ray.get(calls, timeout=self._options.peer_timeout_s)
        except (
            exceptions.RayActorError,
            exceptions.GetTimeoutError,
            exceptions.ObjectLostError,
        ) as error:
            raise GoBackError(
                f"A part of the store is gone ({type(error).__name__})."
            ) from error


def _find_prices(
    workdir: pathlib.Path, config: config_lib.RunConfig
) -> gpu_hours.GpuHours | None:
    """Returns as `cost_table.find` does, but what snapshots need is there."""
    prices = cost_table.find(workdir, config)
    if prices is None and config.train.snapshot_every:
        raise ValueError(
            f"--snapshot_every={config.train.snapshot_every:g} counts with "
            "seconds per step, and a cluster does not measure them as it "
            "trains. Run the same command with --calibrate first, while "
            "nothing else runs, or name a table by --costs."
        )
    return prices
