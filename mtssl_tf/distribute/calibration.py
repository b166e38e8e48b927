"""What a step of each task costs on a cluster: measured, kept and found."""

from __future__ import annotations

from collections.abc import Mapping
import pathlib

import ray

from mtssl_tf import config as config_lib
from mtssl_tf.training import cost_table
from mtssl_tf.training import gpu_hours
from mtssl_tf.training import run_directory


def save(
    workdir: pathlib.Path,
    config: config_lib.RunConfig,
    seconds: Mapping[str, float],
) -> None:
    """Writes what `--calibrate` has measured to `--costs`, or to the run.

    Args:
        workdir: the run directory.
        config: the settings.
        seconds: task -> GPU seconds of a step.

    Raises:
        OSError: it cannot be written.
        ValueError: the file is damaged, or of another cluster.
    """
    resources = ray.cluster_resources()
    kind = "GPU" if resources.get("GPU") else "CPU"
    path = workdir / run_directory.SECONDS_FILE
    if config.train.costs:
        path = pathlib.Path(config.train.costs)
    machine = f"a Ray cluster of {resources[kind]:g} {kind}s"
    cost_table.save(path, config, machine, seconds)


def find(
    workdir: pathlib.Path, config: config_lib.RunConfig
) -> gpu_hours.GpuHours | None:
    """Returns as `cost_table.find` does, but what snapshots need is there.

    Raises:
        OSError: the table is missing, or cannot be kept.
        ValueError: it is damaged, lacks a task, or snapshots need one.
    """
    prices = cost_table.find(workdir, config)
    if prices is None and config.train.snapshot_every:
        raise ValueError(
            f"--snapshot_every={config.train.snapshot_every:g} counts with "
            "seconds per step, and a cluster does not measure them as it "
            "trains. Run the same command with --calibrate first, while "
            "nothing else runs, or name a table by --costs."
        )
    return prices
