"""The training loop: whose turn, step, log, judge, save, stop."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
import pathlib
import time
from typing import Any

from absl import logging
import numpy as np

from mtssl_tf import config as config_lib
from mtssl_tf.motion import labeller
from mtssl_tf.process import stop_signal
from mtssl_tf.reports import metrics_record
from mtssl_tf.reports import metrics_window
from mtssl_tf.reports import progress
from mtssl_tf.reports import run_log
from mtssl_tf.training import best as best_lib
from mtssl_tf.training import checkpoint
from mtssl_tf.training import compiled
from mtssl_tf.training import examiner
from mtssl_tf.training import health
from mtssl_tf.training import health_check
from mtssl_tf.training import non_finite
from mtssl_tf.training import out_of_memory
from mtssl_tf.training import pipelines
from mtssl_tf.training import run as run_lib
from mtssl_tf.training import run_cost
from mtssl_tf.training import run_marker
from mtssl_tf.training import step as step_lib
from mtssl_tf.training import step_in_parts
from mtssl_tf.training import steps_under_way
from mtssl_tf.training import time_budget
from mtssl_tf.training import turns as turns_lib


class Trainer:
    """Trains a run from its last checkpoint to its last step."""

    def __init__(self, run: run_lib.Run, workdir: pathlib.Path) -> None:
        self._run = run
        self._workdir = workdir
        self._turns = turns_lib.Turns(run)
        self._checkpoints = checkpoint.Checkpoints(
            workdir, run.trunk, run.states, self._turns.weighing
        )
        restored = self._checkpoints.restore()
        self._steps = restored or {name: 0 for name in run.states}
        self._last_saved = self.step
        self._cost = run_cost.RunCost(workdir, run, self._steps)
        train = run.config.train
        self._log = run_log.RunLog(workdir, self.step)
        self._log.describe(
            config_lib.flat(run.config), run_lib.figures(run), train.track
        )
        self._health = health_check.HealthCheck(
            run, workdir, self._log, self.step
        )
        if restored is not None:
            self._health.after_save(
                self.step, checkpoint.path_of(workdir, self.step)
            )
        self._marker = run_marker.RunMarker(workdir, run.config)
        self._budget = time_budget.TimeBudget(workdir, train.steps, train.hours)
        self._progress = progress.ProgressLine(
            self._budget.num_steps, "steps", self.step
        )
        self._examiner = examiner.Examiner(
            run, workdir, self._log, self._progress, self._write
        )
        self._best: best_lib.Best | None = None
        if train.keep_best:
            self._best = best_lib.Best(
                workdir, train.keep_best, self._examiner.judged
            )
        if restored is not None:
            # Who was killed between saving it and keeping it.
            self._keep_if_best(checkpoint.path_of(workdir, self.step))
        if compiled.is_xla_wanted(train.xla, run.strategy):
            logging.info(
                "XLA compiles the steps, each task's at its first one, which "
                "may take a minute. Short trials end sooner with --set "
                "train.xla=never."
            )
        self._step_functions = {
            name: step_in_parts.build_step_function(run.strategy, state, train)
            for name, state in run.states.items()
        }
        self._windows = {
            name: metrics_window.MetricsWindow() for name in run.states
        }
        self._under_way = steps_under_way.StepsUnderWay()
        self._last_losses: dict[str, float] = {}

    @property
    def step(self) -> int:
        """Steps done so far, over all tasks."""
        return sum(self._steps.values())

    def train(self, stop: stop_signal.StopSignal) -> None:
        """Trains until the last step, or until a signal asks to stop.

        Raises:
            NonFiniteLossError: names task and step; the checkpoint before is
                kept, and the batch is saved beside it.
            OutOfMemoryError: names task, batch and what helps.
            SourceError: a task's data has come to an end.
        """
        try:
            self._train(stop)
        finally:
            self._health.close()
            self._marker.remove()

    def _train(self, stop: stop_signal.StopSignal) -> None:
        # What it waits for may take longer than who has asked to stop.
        stop.tell(self._run.close)
        try:
            self._train_until(stop)
        except labeller.ClosedError:
            if not stop.is_requested:
                raise
        finally:
            self._run.close()
        if self.step != self._last_saved:
            self._save()
        self._finish(stop)

    def _train_until(self, stop: stop_signal.StopSignal) -> None:
        """Takes steps until the last one, or until `stop` asks to stop."""
        train = self._run.config.train
        self._turns.begin(self._workdir, self._steps, self._budget.num_steps)
        batches: dict[str, Iterator[Any]] = {}
        if self.step:
            logging.info("Going on from step %d.", self.step)
            self._examiner.judge_what_was_not(
                self.step, self._is_last(self.step), stop
            )
        self._health.say_last_end(self.step, self._marker.explain_last_end())
        while not self._is_last(self.step) and not stop.is_requested:
            name = self._turns.next_task(self._steps)
            self._profile(self.step)
            # Every task's first step is built, which takes a while.
            is_start = self.step - self._last_saved < len(self._steps)
            with (
                stop.nothing_to_lose(is_start),
                out_of_memory.explained(self._run.config, name),
            ):
                if name not in batches:
                    # Not all at once: the first step is waited for.
                    batches[name] = pipelines.start_pipeline(
                        self._run, name, self._steps[name]
                    )
                with pipelines.explained(batches[name]):
                    self._train_one(name, batches[name])
            if self._budget.after_step(self._steps):
                self._progress.expect(self._budget.num_steps)
            self._weigh()
            step = self.step
            is_last = self._is_last(step)
            if step % train.log_every == 0 or is_last:
                self._write_windows()
            self._examiner.examine(step, is_last, stop)
            # Before a checkpoint of this step: who goes on from that is past.
            self._cost.keep_snapshot_if_due(self._steps, self._save_into)
            if step % train.save_every == 0 or self._is_best(step):
                self._save()
                self._last_saved = step

    def _weigh(self) -> None:
        """Sets shares anew where that is due, and tells of it."""
        if not self._turns.are_due(self.step):
            return
        self._take_in()
        if (update := self._turns.update(self._steps)) is not None:
            self._log.write_shares(update)

    def _save_into(self, folder: pathlib.Path) -> None:
        """Saves the run as it is now into another run directory."""
        self._take_in()  # shares come from the losses
        run = self._run
        checkpoint.Checkpoints(
            folder, run.trunk, run.states, self._turns.weighing
        ).save(self._steps)

    def _is_best(self, step: int) -> bool:
        if self._best is None:
            return False
        return self._best.is_better(self._log.lines_of(step))

    def _keep_if_best(self, path: str) -> None:
        if self._best is not None:
            lines = self._log.lines_of(self.step)
            self._best.keep(self.step, path, lines)

    def _save(self) -> None:
        # Who goes on from here knows nothing of the steps before.
        self._write_windows()
        self._log.sync()
        path = self._checkpoints.save(self._steps)
        self._keep_if_best(path)
        self._health.after_save(self.step, path)
        self._marker.update()

    def _train_one(self, name: str, batches: Iterator[Any]) -> None:
        """Takes one step of one task."""
        start = time.monotonic()
        is_timed = self._cost.is_measured(name)
        if is_timed:
            self._take_in()  # what is under way is another step's time
        begun = time.monotonic()
        with self._health.wait_for(self.step, name):
            batch = next(batches)
        waited = time.monotonic() - begun
        self._turns.compare_halves(name, self._steps[name], batch)
        outcome = self._step_functions[name].take(batch)
        self._stop_at_bad(
            self._under_way.add(
                steps_under_way.Started(self.step, name, batch, outcome)
            )
        )
        self._steps[name] += 1
        self._health.compare(self.step, name, outcome.gradients)
        is_seen = self._progress.is_due()
        if is_seen or is_timed or self._is_fetched_at(self.step):
            self._take_in()
        end = time.monotonic()
        self._cost.add_step(name, end - begun)
        self._windows[name].add_time(
            self._run.states[name].task.config.batch_size, waited, end - start
        )
        if is_seen:
            self._show_progress()

    def _is_last(self, step: int) -> bool:
        """Returns whether there is no step to take after so many."""
        last = self._budget.num_steps
        return last is not None and step >= last

    def _is_fetched_at(self, step: int) -> bool:
        """Returns whether the numbers up to a step are wanted after it."""
        train = self._run.config.train
        return (
            step % train.log_every == 0
            or step % health.NORM_EVERY == 0
            or self._is_last(step)
        )

    def _take_in(self) -> None:
        """Waits for what is under way; looks at all of its numbers.

        Raises:
            NonFiniteLossError: some are not finite.
        """
        self._stop_at_bad(self._under_way.find_bad())
        for fetched in self._under_way.fetch():
            name = fetched.task
            values = dict(
                zip(self._step_functions[name].names, fetched.numbers)
            )
            norm = values.pop(step_lib.GRADIENT_NORM)
            self._windows[name].add_values(values)
            self._last_losses[name] = values[metrics_record.LOSS]
            self._turns.add_step(name, values[metrics_record.LOSS])
            self._health.after_step(fetched.step + 1, name, values, norm)

    def _stop_at_bad(self, bad: steps_under_way.Started | None) -> None:
        """Ends the run at a step that is not finite, if there is one."""
        if bad is None:
            return
        local = self._run.strategy.experimental_local_results
        whole = {
            key: np.concatenate([part.numpy() for part in local(value)])
            for key, value in bad.batch.items()
        }
        names = self._step_functions[bad.task].names
        loss = bad.outcome.numbers.numpy()[names.index(metrics_record.LOSS)]
        path = self._workdir / non_finite.BATCH_FILE
        non_finite.fail(bad.task, f"at step {bad.step}", loss, whole, path)

    def _write_windows(self) -> None:
        """Writes a line for every task since its last one."""
        self._take_in()
        for name, window in self._windows.items():
            if window.num_steps:
                self._write(
                    name, metrics_record.TRAIN, window.means(), window.rates()
                )
                window.clear()

    def _write(
        self,
        name: str,
        split: str,
        values: Mapping[str, float],
        rates: Mapping[str, float],
    ) -> None:
        state = self._run.states[name]
        self._log.write(
            self.step,
            metrics_record.MetricsRecord(
                name,
                self._steps[name],
                split,
                values,
                rates,
                state.model.mixing_weights(),
                self._cost.hours(self._steps),
            ),
            state.task.chance(),
        )

    def _profile(self, step: int) -> None:
        profile = self._run.config.train.profile
        if profile and step == profile[0]:
            self._log.board.start_profile()
        if profile and step == profile[1]:
            self._log.board.stop_profile()

    def _show_progress(self) -> None:
        windows = self._windows.values()
        elapsed = sum(window.elapsed_s for window in windows)
        if not elapsed:
            return
        images = sum(window.num_images for window in windows)
        waited = sum(window.waited_s for window in windows)
        losses = "  ".join(
            f"{name} {loss:.3f}/"
            f"{self._run.states[name].task.chance()['loss']:.3f}"
            for name, loss in self._last_losses.items()
        )
        self._progress.update(
            self.step,
            f"{images / elapsed:.0f} images/s  "
            f"data {waited / elapsed:.0%}  {self._examiner.remark()}{losses}",
        )

    def _finish(self, stop: stop_signal.StopSignal) -> None:
        skipped = len(self._run.skipped)
        if skipped:
            is_one = skipped == 1
            logging.warning(
                "%d %s skipped; the log names each.",
                skipped,
                "picture or clip was" if is_one else "pictures or clips were",
            )
        if not self._is_last(self.step):
            end = f"stopped by {stop.name}; the same command goes on from here"
        else:
            end = "done"
        best = self._best.describe() if self._best else ""
        self._progress.finish(f"step {self.step}: saved, {end}.{best}")
        self._log.close()
