"""What groups report: to the log, the watch, `status.json` and the terminal."""

from __future__ import annotations

from collections.abc import Mapping
import contextlib
import json
import pathlib
from typing import Any

from absl import logging

from mtssl_tf import config as config_lib
from mtssl_tf.distribute import group
from mtssl_tf.process import atomic_file
from mtssl_tf.reports import metrics_record
from mtssl_tf.reports import progress
from mtssl_tf.reports import run_log
from mtssl_tf.training import health
from mtssl_tf.training import run as run_lib

STATUS_FILE = "status.json"


class Telling:
    """Tells people, and files, how far a run is.

    Attributes:
        seconds: task -> GPU seconds of a step, by its last report.
    """

    def __init__(
        self,
        run: run_lib.Run,
        workdir: pathlib.Path,
        steps: Mapping[str, int],
        num_steps: int,
        has_log: bool,
    ) -> None:
        """Opens the log where the run goes on.

        Args:
            run: of this process.
            workdir: the run directory.
            steps: of each task so far.
            num_steps: of all tasks at the end.
            has_log: whether it is a run, and no calibration.
        """
        self._run = run
        self._workdir = workdir
        self._log: run_log.RunLog | None = None
        if has_log:
            self._log = run_log.RunLog(workdir, sum(steps.values()))
            self._log.describe(
                config_lib.flat(run.config),
                run_lib.figures(run),
                run.config.train.track,
            )
        self._watch = health.HealthWatch(
            {name: state.task for name, state in run.states.items()},
            is_resumed=any(steps.values()),
        )
        self.seconds: dict[str, float] = {}
        self._records: dict[str, metrics_record.MetricsRecord] = {}
        self._steps = dict(steps)  # of each task's last report
        self._progress = progress.ProgressLine(
            num_steps, "steps", sum(steps.values())
        )

    def go_back(self, steps: Mapping[str, int]) -> None:
        """Forgets what came after these steps of each task."""
        self._steps = dict(steps)
        if self._log:
            self._log.go_back(sum(steps.values()))

    def take(self, told: Mapping[str, Any]) -> None:
        """Writes down what a coordinator's `status` has of reports."""
        for step, record, seconds in told["reports"]:
            self.seconds[record.task] = seconds
            self._records[record.task] = record
        if self._log is None:
            return
        for update in told["updates"]:
            self._log.write_shares(update)
        for step, record, _ in told["reports"]:
            task = self._run.states[record.task].task
            self._log.write(step, record, task.chance())
            self._say_troubles(self._log, step, record)

    def _say_troubles(
        self,
        log: run_log.RunLog,
        step: int,
        record: metrics_record.MetricsRecord,
    ) -> None:
        """Watches the losses and metrics that groups report."""
        before = self._steps[record.task]
        self._steps[record.task] = record.task_step
        self._watch.add_steps(
            record.task,
            record.values,
            num_steps=max(1, record.task_step - before),
        )
        for trouble in self._watch.take_new():
            logging.warning("Step %d: %s", step, trouble.message)
            log.write_health(
                step, trouble.kind, trouble.subject, trouble.message
            )

    def sync(self) -> None:
        """Waits until the log is on disk."""
        if self._log:
            self._log.sync()

    def write_status(
        self,
        told: Mapping[str, Any],
        roles: Mapping[str, Any],
        groups: Mapping[str, group.GroupSupervisor],
    ) -> None:
        """Writes `status.json`: how far it is, and who runs where."""
        workers = {
            f"{name}/{rank}": place
            for name, each in groups.items()
            for rank, place in enumerate(each.places())
        }
        status = {
            "steps": told["steps"],
            "is_over": told["is_over"],
            "message": told["message"],
            "roles": {**roles, **workers},
        }
        with contextlib.suppress(OSError):  # a full disk only makes it old
            atomic_file.write_text(
                self._workdir / STATUS_FILE, json.dumps(status, indent=1) + "\n"
            )

    def show(self, told: Mapping[str, Any]) -> None:
        """Shows the progress line."""
        tasks = "  ".join(
            f"{name} {r.values['loss']:.3f}/"
            f"{self._run.states[name].task.chance()['loss']:.3f} "
            f"{r.rates['images_per_s']:.0f}/s"
            for name, r in self._records.items()
        )
        self._progress.update(sum(told["steps"].values()), tasks)

    def finish(self, text: str) -> None:
        """Puts `text` in the progress line's place, and closes the log."""
        self._progress.finish(text)
        if self._log:
            self._log.close()
