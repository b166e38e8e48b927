"""What one process of a distributed run is started with."""

from __future__ import annotations

import dataclasses
import pathlib

from mtssl_tf import config as config_lib
from mtssl_tf import train_flags
from mtssl_tf.distribute import cluster as cluster_lib

CALIBRATION_STEPS = 30  # ours, of each task
CALIBRATION_WARM_UP = 10  # ours: left out of the median


@dataclasses.dataclass(frozen=True)
class Settings:
    """The same for all roles, but for `role`.

    Attributes:
        role: of this process.
        cluster: the cluster file.
        secret: of the run.
        config: the run's settings.
        workdir: the run directory, which all processes see.
        is_calibration: whether to measure seconds per step and to save
            nothing else.
        snapshot_every: GPU hours between snapshots; 0 for none.
    """

    role: cluster_lib.Role
    cluster: cluster_lib.Cluster
    secret: bytes
    config: config_lib.RunConfig
    workdir: pathlib.Path
    is_calibration: bool = False
    snapshot_every: float = 0.0

    def num_steps(self) -> int:
        """Returns the steps after which the run is over."""
        if self.is_calibration:
            return CALIBRATION_STEPS * len(self.config.tasks)
        return self.config.train.steps


def check(settings: Settings) -> Settings:
    """Returns checked settings; calibration takes turns, evenly.

    Raises:
        ValueError: they cannot be run.
    """
    cluster, config = settings.cluster, settings.config
    cluster_lib.check_fits(cluster, config)
    if settings.is_calibration:
        cluster = dataclasses.replace(cluster, mode="turns")
        tasks = {
            name: dataclasses.replace(task, weight=1.0)
            for name, task in config.tasks.items()
        }
        config = dataclasses.replace(config, tasks=tasks)
    if settings.snapshot_every < 0:
        raise ValueError(
            "snapshot_every_gpu_hours must be above 0, got "
            f"{settings.snapshot_every}."
        )
    return dataclasses.replace(settings, cluster=cluster, config=config)


def from_flags(
    config: config_lib.RunConfig,
    workdir: pathlib.Path,
    cluster: cluster_lib.Cluster,
    role: cluster_lib.Role,
) -> Settings:
    """Returns what a role is started with.

    Raises:
        ValueError: the cluster cannot run these settings.
    """
    return check(
        Settings(
            role,
            cluster,
            cluster_lib.load_secret(cluster),
            config,
            workdir,
            train_flags.CALIBRATE.value,
            train_flags.SNAPSHOT_EVERY.value,
        )
    )
