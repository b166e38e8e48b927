"""A task group on the cluster, and the supervisor that renews it.

All workers of a group live and die together: on any error the whole group is
killed and a new generation starts from what the store has, where there is
room, while the other groups go on.
"""

from __future__ import annotations

from collections.abc import Callable
import threading
from typing import Any

from absl import logging
import ray
from ray import exceptions
from ray.util import scheduling_strategies

from mtssl_tf.distribute import actors
from mtssl_tf.distribute import options as options_lib

_MAX_RESTARTS = 20  # ours, in a row without a step
_FIRST_PAUSE_S, _LAST_PAUSE_S = 0.2, 30.0  # ours
_PING_EVERY_S = 2.0
_ROOM_TIMEOUT_S = 10.0  # ours: before a smaller size is tried
_ASK_TIMEOUT_S = 30.0
# ours: a worker imports TensorFlow first, and on few cores many do at once. Of
# one that dies meanwhile Ray tells by itself.
_START_TIMEOUT_S = 300.0


class GroupSupervisor:
    """Keeps one task's group alive, in a thread of its own."""

    def __init__(
        self,
        task: str,
        pictures_per_batch: int,
        options: options_lib.ClusterOptions,
        coordinator: Any,
        store: actors.RayStore,
        make_job: Callable[..., Any],
    ) -> None:
        """Prepares; `start` starts.

        Args:
            task: whose group this is.
            pictures_per_batch: which sizes of the group must divide.
            options: of the cluster.
            coordinator: the actor.
            store: for the workers.
            make_job: (task, rank, size, generation, step, deposit) -> a
                worker's job.
        """
        self._task = task
        self._sizes = options.workers[task].sizes(pictures_per_batch)
        self._options = options
        self._bundle = _bundle()
        self._coordinator = coordinator
        self._store = store
        self._make_job = make_job
        self._is_closed = threading.Event()
        self._placement: Any = None
        self._step = -1  # that the last generation began at
        self._workers: list[Any] = []
        self._places: list[dict[str, Any]] = []
        self._thread = threading.Thread(target=self._supervise, daemon=True)

    def start(self) -> None:
        """Starts the first generation."""
        self._thread.start()

    def places(self) -> list[dict[str, Any]]:
        """Returns host and process id of every worker."""
        return list(self._places)

    def is_running(self) -> bool:
        """Whether the group has work, or is to be started again."""
        return self._thread.is_alive()

    def close(self) -> None:
        """Ends the group now."""
        self._is_closed.set()
        self._kill()
        self._thread.join(_ASK_TIMEOUT_S)

    def _supervise(self) -> None:
        try:
            self._renew()
        except Exception as error:  # a fault of ours: nobody would miss us
            if self._is_closed.is_set():
                return
            logging.exception("The supervisor of %s has died.", self._task)
            self._coordinator.fail.remote(
                f"The supervisor of {self._task} has died: {error}."
            )

    def _renew(self) -> None:
        """Runs one generation after the other, until the run is over."""
        failures, last_step = 0, -1
        while not self._is_closed.is_set():
            try:
                is_done = self._run_generation()
                if is_done or self._is_closed.is_set():
                    return
            except exceptions.RayError as error:
                if self._is_closed.is_set():
                    return
                logging.warning("%s: %s", self._task, _first_line(error))
            finally:
                self._kill()
            failures = 0 if self._step > last_step else failures + 1
            last_step = max(self._step, last_step)
            if failures > _MAX_RESTARTS:
                self._fail(
                    f"The group of {self._task} was started {failures} times "
                    f"in a row and got no further than step {last_step}. The "
                    "log says why it died."
                )
                return
            pause_s = min(_FIRST_PAUSE_S * 2**failures, _LAST_PAUSE_S)
            self._is_closed.wait(pause_s)

    def _run_generation(self) -> bool:
        """Runs a generation; returns whether the run is over for it."""
        size = self._place()
        strategy = scheduling_strategies.PlacementGroupSchedulingStrategy(
            self._placement, placement_group_capture_child_tasks=False
        )
        self._workers = [
            actors.WorkerActor.options(
                num_cpus=self._bundle["CPU"],
                num_gpus=self._bundle.get("GPU", 0),
                scheduling_strategy=strategy,
            ).remote()
            for _ in range(size)
        ]
        self._places = self._ask(
            [w.where.remote() for w in self._workers], _START_TIMEOUT_S
        )
        addresses = self._ask(
            [w.address.remote() for w in self._workers], _START_TIMEOUT_S
        )
        generation, self._step, deposit = self._ask(
            self._coordinator.admit.remote(self._task, size)
        )
        ends = [
            worker.train.remote(
                self._make_job(
                    self._task, rank, size, generation, self._step, deposit
                ),
                addresses,
                self._store,
            )
            for rank, worker in enumerate(self._workers)
        ]
        return self._watch(ends)

    def _place(self) -> int:
        """Finds room for the largest group that fits; returns its size."""
        was_told = False
        while True:
            for size in self._sizes:
                self._placement = ray.util.placement_group(
                    [self._bundle] * size, strategy="PACK"
                )
                if self._placement.wait(_ROOM_TIMEOUT_S):
                    return size
                self._remove_placement()
                if self._is_closed.is_set():
                    raise exceptions.RayError("closed")
            if not was_told:
                was_told = True
                logging.warning(
                    "There is no room for %d worker(s) of %s, each with %s; "
                    "free are %s. Waiting. Add hosts, or start fewer workers "
                    "(--workers=%s:1-%d takes what fits).",
                    self._sizes[-1],
                    self._task,
                    self._bundle,
                    _free_resources(),
                    self._task,
                    self._sizes[0],
                )

    def _watch(self, ends: list[Any]) -> bool:
        """Waits for all workers to end; returns whether the run is over."""
        waiting = list(ends)
        while waiting:
            ready, waiting = ray.wait(waiting, timeout=_PING_EVERY_S)
            for end in ready:
                try:
                    ray.get(end)
                except exceptions.RayTaskError as error:
                    return self._explain(error)
            if not ready and not self._all_answer():
                logging.warning(
                    "A worker of %s is frozen. Its group starts again.",
                    self._task,
                )
                return False
        return True

    def _all_answer(self) -> bool:
        pings = [worker.where.remote() for worker in self._workers]
        try:
            ray.get(pings, timeout=self._options.peer_timeout_s)
        except exceptions.GetTimeoutError:
            return False
        return True

    def _explain(self, error: exceptions.RayTaskError) -> bool:
        """Ends the run where a new generation would fail in the same way."""
        cause = error.cause
        is_final = isinstance(cause, (ArithmeticError, ValueError, OSError))
        if is_final and not isinstance(cause, exceptions.RayError):
            self._fail(str(cause))
            return True
        logging.warning("%s: %s", self._task, _first_line(cause))
        return False

    def _fail(self, message: str) -> None:
        self._ask(self._coordinator.fail.remote(message))

    def _ask(self, calls: Any, timeout_s: float = _ASK_TIMEOUT_S) -> Any:
        return ray.get(calls, timeout=timeout_s)

    def _kill(self) -> None:
        for worker in self._workers:
            ray.kill(worker)
        self._workers, self._places = [], []
        self._remove_placement()
        if not self._is_closed.is_set():
            self._coordinator.leave.remote(self._task)

    def _remove_placement(self) -> None:
        # The supervisor and who closes it come here.
        placement, self._placement = self._placement, None
        if placement is not None:
            ray.util.remove_placement_group(placement)


def _first_line(error: BaseException) -> str:
    if isinstance(error, exceptions.GetTimeoutError):
        return "No answer in time. The group starts again."
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__


def _bundle() -> dict[str, float]:
    """Returns what a worker takes: a GPU too where the cluster has any."""
    has_gpus = ray.cluster_resources().get("GPU", 0) > 0
    return {"CPU": 1.0, **({"GPU": 1.0} if has_gpus else {})}


def _free_resources() -> dict[str, float]:
    free = ray.available_resources()
    return {kind: free.get(kind, 0.0) for kind in ("CPU", "GPU")}
