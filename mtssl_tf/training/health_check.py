"""The training loop's health watch: what it is fed with, and what it says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
import contextlib
import dataclasses
import math
import multiprocessing
import pathlib
from typing import Any

from absl import logging
import keras
import tensorflow as tf

from mtssl_tf.data import source as source_lib
from mtssl_tf.reports import run_log
from mtssl_tf.training import before_trouble
from mtssl_tf.training import health
from mtssl_tf.training import run as run_lib
from mtssl_tf.training import stall_watch
from mtssl_tf.training import step as step_lib
from mtssl_tf.training import trunk_gradients

_COSINES = "gradient_cosines"
_MESSAGE_LENGTH = 200  # ours: of an error's first line


class HealthCheck:
    """Watches a run, writes what is wrong, keeps a checkpoint from before."""

    def __init__(
        self,
        run: run_lib.Run,
        workdir: pathlib.Path,
        log: run_log.RunLog,
        step: int,
    ) -> None:
        """Starts to watch at a step of all tasks."""
        self._run = run
        self._log = log
        self._watch = health.HealthWatch(
            {name: state.task for name, state in run.states.items()},
            is_resumed=step > 0,
        )
        self._kept = before_trouble.BeforeTrouble(workdir, step)
        is_frozen = not any(
            step_lib.num_trunk_variables(state) for state in run.states.values()
        )
        self._gradients = trunk_gradients.TrunkGradients(
            0 if is_frozen else len(run.states), health.COMPARE_EVERY
        )
        self._weights = _weights_by_part(run)
        self._norms = tf.function(self._measure_norms, autograph=False)
        self._first_norms = {
            name: norm
            for name, state in run.states.items()
            if (norm := _first_norm(state))
        }
        self._add_weight_norms()
        self._workers: list[Any] = []
        self._stall = stall_watch.StallWatch(
            lambda step, task, message: self._say(
                step, health.Trouble(health.WORKER_DIED, task, message, 0)
            )
        )

    def after_step(
        self,
        step: int,
        task: str,
        values: Mapping[str, float],
        gradient_norm: float,
    ) -> None:
        """Looks at one step's numbers.

        Args:
            step: of all tasks.
            task: whose step it was.
            values: its loss and metrics.
            gradient_norm: of the trunk.
        """
        self._watch.add_steps(task, values, gradient_norm)
        if step % health.NORM_EVERY == 0:
            self._add_weight_norms()
            self._add_feature_sizes()
            self._look_for_dead_workers()
        self._say_new(step)

    def compare(
        self, step: int, task: str, gradients: Sequence[tf.Tensor]
    ) -> None:
        """Compares tasks' gradients, when each had its turn.

        Args:
            step: of all tasks.
            task: whose step it was.
            gradients: of the trunk, as `StepFunction.take` gives them.
        """
        if not (found := self._gradients.add(step, task, gradients)):
            return
        self._watch.add_cosines(found)
        self._log.write_event(
            step,
            _COSINES,
            {" ".join(pair): cosine for pair, cosine in found.items()},
        )

    def after_save(self, step: int, path: str) -> None:
        """Notes a checkpoint, to be kept if trouble comes after it."""
        if self._watch.is_damaged():
            return
        try:
            self._kept.add(step, path)
        except OSError as error:
            logging.warning(
                "%s is not held against a trouble to come: %s.", path, error
            )

    @contextlib.contextmanager
    def wait_for(self, step: int, task: str) -> Iterator[None]:
        """Watches the block, which gets a task's next batch.

        Raises:
            SourceError: no batch will come any more.
        """
        self._stall.begin(step, task)
        try:
            yield
        except source_lib.SourceError as error:
            self._add_death(step, task, str(error))
            raise
        except tf.errors.ResourceExhaustedError:
            raise
        except (tf.errors.OpError, StopIteration) as error:
            reason = _first_line(error)
        else:
            return
        finally:
            self._stall.end()
        message = (
            f"The data of {task} have come to an end at step {step}: a worker "
            f"that makes its batches has died ({reason}). The same command "
            "goes on from the last checkpoint; if this comes again, look for "
            "the last file that the log names, or leave the task out."
        )
        self._add_death(step, task, message)
        raise source_lib.SourceError(message)

    def say_last_end(self, step: int, message: str | None) -> None:
        """Says why an earlier start ended, where it could not."""
        if message is not None:
            self._say(step, health.Trouble(health.KILLED, "run", message, 0))

    def _add_death(self, step: int, subject: str, message: str) -> None:
        self._watch.add_death(subject, message)
        self._say_new(step)

    def close(self) -> None:
        """Ends the watch, before the log is closed."""
        self._stall.close()

    def _say_new(self, step: int) -> None:
        for trouble in self._watch.take_new():
            if trouble.is_damage:
                kept = self._keep(step - trouble.since)
                message = f"{trouble.message} {kept}"
                trouble = dataclasses.replace(trouble, message=message)
            self._say(step, trouble)

    def _say(self, step: int, trouble: health.Trouble) -> None:
        """Writes into the log, metrics.jsonl and TensorBoard."""
        logging.warning("Step %d: %s", step, trouble.message)
        self._log.write_health(
            step, trouble.kind, trouble.subject, trouble.message
        )

    def _keep(self, began: int) -> str:
        try:
            return self._kept.keep(began)
        except OSError as error:
            return f"No checkpoint from before it could be kept: {error}."

    def _add_weight_norms(self) -> None:
        norms = self._norms()
        self._watch.add_weight_norms(
            {part: float(norm) for part, norm in norms.items()}
        )

    def _add_feature_sizes(self) -> None:
        """Adds the standard deviations that heads normalise features by."""
        sizes = {}
        for name, norm in self._first_norms.items():
            num_steps = int(self._run.states[name].optimizer.iterations)
            if num_steps:
                # Averages begin at 1, of which so much is left.
                rest = norm.momentum**num_steps
                mean = float(tf.reduce_mean(norm.moving_variance.value))
                sizes[name] = math.sqrt(max(0.0, mean - rest) / (1 - rest))
        self._watch.add_feature_sizes(sizes)

    def _measure_norms(self) -> dict[str, tf.Tensor]:
        return {
            part: tf.linalg.global_norm([each.value for each in variables])
            for part, variables in self._weights.items()
        }

    def _look_for_dead_workers(self) -> None:
        """Finds processes of this one that ended otherwise than asked to."""
        for process in self._workers:
            # A pool ends its own with SIGTERM.
            if process.exitcode not in (None, 0, -15):
                self._watch.add_death(
                    process.name,
                    f"The data worker {process.name} (process {process.pid}) "
                    f"died with exit code {process.exitcode}. Look for the "
                    "last file it named in the log, and at the memory: the "
                    "kernel ends processes with exit code -9 where it is "
                    "short.",
                )
        self._workers = multiprocessing.active_children()


def _weights_by_part(run: run_lib.Run) -> dict[str, list[Any]]:
    """Returns the weights of the trunk and of each head."""
    parts = {
        name: list(state.model.head.trainable_variables)
        for name, state in run.states.items()
    }
    return {health.TRUNK: list(run.trunk.trainable_variables), **parts}


def _first_norm(
    state: step_lib.TaskState,
) -> keras.layers.BatchNormalization | None:
    """Returns what a head reads features through, if it does as ours do."""
    for layer in state.model.head.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            return layer
    return None


def _first_line(error: Exception) -> str:
    """Returns what a data pipeline's error says, without its graph."""
    text = getattr(error, "message", None) or str(error)
    text = text.strip().splitlines()[0] if text.strip() else "no more data"
    return text.rpartition("}} ")[2][:_MESSAGE_LENGTH].rstrip(".")
