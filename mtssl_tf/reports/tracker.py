"""A run's scalars in an experiment tracker beside TensorBoard: `--track`.

A tracker gets the settings once and scalars as they come. It is a guest: what
goes wrong at the start ends the command, and a server that stops to answer
later is said once, and training goes on without it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
import importlib.util
import json
import math
import os
import pathlib
import time
from typing import Any, Protocol

from absl import logging

from mtssl_tf.files import json_file
from mtssl_tf.process import atomic_file

FILE = "tracked.json"  # tracker -> its id of the run, with which it goes on
_PROJECT = "mtssl_tf"  # where none is named
_MAX_CHARACTERS = 500  # of a setting: older servers of MLflow take no more
_MAX_AT_ONCE = 100  # settings in one request, likewise


class Tracker(Protocol):
    """Where scalars go."""

    id: str

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Writes finite numbers of a step of all tasks."""

    def close(self) -> None:
        """Says that this process is done with the run."""


class _Mlflow:
    """A run of MLflow, on the server that MLFLOW_TRACKING_URI names."""

    def __init__(
        self,
        project: str,
        workdir: pathlib.Path,
        run_id: str | None,
        settings: Mapping[str, Any],
    ) -> None:
        import mlflow

        self._entities = mlflow.entities
        self._client = mlflow.MlflowClient()
        if run_id is not None:
            self.id = run_id
            self._client.update_run(run_id, status="RUNNING")
            return
        found = self._client.get_experiment_by_name(project)
        experiment = (
            found.experiment_id
            if found
            else self._client.create_experiment(project)
        )
        run = self._client.create_run(experiment, run_name=workdir.name)
        self.id = run.info.run_id
        params = [
            self._entities.Param(name, str(value)[:_MAX_CHARACTERS])
            for name, value in settings.items()
        ]
        for first in range(0, len(params), _MAX_AT_ONCE):
            some = params[first : first + _MAX_AT_ONCE]
            self._client.log_batch(self.id, params=some)

    def write(self, step: int, values: Mapping[str, float]) -> None:
        now_ms = int(time.time() * 1000)
        metrics = [
            self._entities.Metric(name, value, now_ms, step)
            for name, value in values.items()
        ]
        self._client.log_batch(self.id, metrics=metrics)

    def close(self) -> None:
        self._client.set_terminated(self.id)


class _Wandb:
    """A run of Weights & Biases; WANDB_MODE=offline keeps it on disk."""

    def __init__(
        self,
        project: str,
        workdir: pathlib.Path,
        run_id: str | None,
        settings: Mapping[str, Any],
    ) -> None:
        import wandb

        self._run = wandb.init(
            project=project,
            name=workdir.name,
            dir=os.fspath(workdir),
            id=run_id,
            resume="allow",
            config=dict(settings),
        )
        self.id = self._run.id
        # Its own count of steps never goes back, and a resumed run's does.
        self._run.define_metric("step")
        self._run.define_metric("*", step_metric="step")

    def write(self, step: int, values: Mapping[str, float]) -> None:
        self._run.log({"step": step, **values})

    def close(self) -> None:
        self._run.finish()


_REMEDIES = {
    "mlflow": "Name a server by MLFLOW_TRACKING_URI, as http://HOST:PORT "
    "(without one the whole of mlflow must be installed)",
    "wandb": "Log in by wandb login, or set WANDB_MODE=offline",
}
# Name, which is also that of its package and of the extra -> tracker.
_TRACKERS: dict[str, Callable[..., Tracker]] = {
    "mlflow": _Mlflow,
    "wandb": _Wandb,
}


def check(spec: str) -> None:
    """Checks that a tracker is known and installed.

    Args:
        spec: 'mlflow', 'wandb', either with ':PROJECT' behind it, or ''.

    Raises:
        ValueError: it is not; names the extra.
    """
    if not spec:
        return
    name, colon, project = spec.partition(":")
    if name not in _TRACKERS or bool(colon) != bool(project):
        raise ValueError(
            f"--track={spec} is not one of {', '.join(_TRACKERS)}, or one of "
            "them with a project, as mlflow:birds."
        )
    if importlib.util.find_spec(name) is None:
        raise ValueError(
            f"--track={spec} needs {name}: pip install 'mtssl_tf[{name}]'."
        )


class TrackedRun:
    """Hands a run's scalars to the tracker that it names."""

    def __init__(
        self, spec: str, workdir: pathlib.Path, settings: Mapping[str, Any]
    ) -> None:
        """Begins a run there, or goes on with the one of an earlier start.

        Args:
            spec: as `check` takes it, but not ''.
            workdir: run directory, which keeps the tracker's id of the run.
            settings: of the run, flat.

        Raises:
            ValueError: the tracker refuses.
        """
        check(spec)
        name, _, project = spec.partition(":")
        path = workdir / FILE
        ids: dict[str, Any] = {}
        if path.exists():
            ids = json_file.load_object(
                path, "Remove it: the tracker then gets a new run."
            )
        try:
            tracker = _TRACKERS[name](
                project or _PROJECT, workdir, ids.get(name), settings
            )
        except Exception as error:  # of a package and a server not ours
            raise ValueError(
                f"--track={spec}: {name} cannot be used "
                f"({_first_line(error)}). {_REMEDIES[name]}, or leave --track "
                "out."
            ) from error
        self._tracker: Tracker | None = tracker
        ids[name] = tracker.id
        atomic_file.write_text(path, json.dumps(ids, indent=2) + "\n")

    def write_scalars(
        self, step: int, prefix: str, values: Mapping[str, Any]
    ) -> None:
        """Writes `prefix/name` for every value that is a finite number."""
        finite = {
            f"{prefix}/{name}": float(value)
            for name, value in values.items()
            if value is not None and math.isfinite(value)
        }
        if self._tracker is None or not finite:
            return
        try:
            self._tracker.write(step, finite)
        except Exception as error:  # likewise
            self._give_up(error)

    def close(self) -> None:
        """Ends the run there."""
        if self._tracker is None:
            return
        try:
            self._tracker.close()
        except Exception as error:  # likewise
            self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        self._tracker = None
        logging.warning(
            "The tracker does not take any more (%s). Training goes on "
            "without it; the run directory has everything.",
            _first_line(error),
        )


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0][:300]}".rstrip(": .")
