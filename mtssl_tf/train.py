"""Trains a trunk on pretext tasks: `python -m mtssl_tf.train`.

From flags to a checked configuration to a run. TensorFlow is imported only
when there is work, so that `--help` and a mistyped flag answer at once.
"""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses
import os
import pathlib
import sys

from absl import app
from absl import flags
from absl import logging

from mtssl_tf import config as config_lib
from mtssl_tf import train_flags
from mtssl_tf.distribute import cluster as cluster_lib
from mtssl_tf.distribute import settings as settings_lib
from mtssl_tf.process import keras_settings
from mtssl_tf.training import run_directory

EXIT_USER_ERROR = 2

flags.adopt_module_key_flags(train_flags)  # `--help` shows them


def main(argv: Sequence[str]) -> None:
    """Checks everything a user can get wrong, then trains."""
    try:
        if len(argv) > 1:
            raise ValueError(f"There are only flags here, got {argv[1:]}.")
        config = train_flags.config_from_flags()
        if not train_flags.WORKDIR.value and not train_flags.DRY_RUN.value:
            raise ValueError("--workdir is missing: name a run directory.")
        _check_paths(config)
        cluster = _load_cluster()
    except (ValueError, OSError) as error:
        _exit_with(error)
    _quiet_tensorflow()
    try:
        config = _use_sample_set(config)
        if train_flags.DRY_RUN.value:
            from mtssl_tf.training import dry_run

            print(dry_run.describe(config))
            return
        workdir = pathlib.Path(train_flags.WORKDIR.value)
        if cluster is not None:
            _run_role(*cluster, config, workdir)
        run_directory.prepare(workdir, config)
        trainer = _build_trainer(config, workdir)
    except (ValueError, OSError) as error:
        _exit_with(error)
    _train(trainer)


def prepare(argv: Sequence[str]) -> tuple[config_lib.RunConfig, pathlib.Path]:
    """Parses flags and prepares the run directory, for the launcher.

    Raises:
        ValueError: something is unknown or does not fit together.
        OSError: data is missing, or the directory cannot be written.
    """
    try:
        rest = flags.FLAGS(argv)
    except flags.Error as error:
        raise ValueError(str(error)) from error
    if len(rest) > 1:
        raise ValueError(f"There are only flags here, got {rest[1:]}.")
    if train_flags.CLUSTER.value or train_flags.ROLE.value:
        raise ValueError(
            "--cluster and --role behind -- are for starting one role of "
            "several machines with mtssl_tf.train. Leave them out."
        )
    if train_flags.DRY_RUN.value:
        raise ValueError(
            "--dry_run describes one machine's run: give it to mtssl_tf.train."
        )
    if not train_flags.WORKDIR.value:
        raise ValueError("--workdir is missing: name a run directory.")
    config = train_flags.config_from_flags()
    _check_paths(config)
    _quiet_tensorflow()
    config = _use_sample_set(config)
    workdir = pathlib.Path(train_flags.WORKDIR.value)
    run_directory.prepare(workdir, config)
    return config, workdir


def distributed_settings(
    config: config_lib.RunConfig,
    workdir: pathlib.Path,
    cluster: cluster_lib.Cluster,
    role: cluster_lib.Role,
) -> settings_lib.Settings:
    """Returns what a role is started with.

    Raises:
        ValueError: the cluster cannot run these settings.
    """
    return settings_lib.check(
        settings_lib.Settings(
            role,
            cluster,
            cluster_lib.load_secret(cluster),
            config,
            workdir,
            train_flags.CALIBRATE.value,
            train_flags.SNAPSHOT_EVERY.value,
        )
    )


def _load_cluster() -> tuple[cluster_lib.Cluster, cluster_lib.Role] | None:
    file, role = train_flags.CLUSTER.value, train_flags.ROLE.value
    if bool(file) != bool(role):
        raise ValueError(
            f"--cluster={file} and --role={role} go together: the cluster "
            "file, and which of its roles to run."
        )
    if not file:
        for flag in (train_flags.CALIBRATE, train_flags.SNAPSHOT_EVERY):
            if flag.value:
                raise ValueError(
                    f"--{flag.name} is for distributed runs. One machine has "
                    "it with python -m mtssl_tf.distribute.launch."
                )
        return None
    cluster = cluster_lib.load_cluster(file)
    return cluster, cluster_lib.parse_role(role, cluster)


def _run_role(
    cluster: cluster_lib.Cluster,
    role: cluster_lib.Role,
    config: config_lib.RunConfig,
    workdir: pathlib.Path,
) -> None:
    """Runs one role of a cluster; does not return."""
    settings = distributed_settings(config, workdir, cluster, role)
    cluster_lib.check_bindable(role, cluster.address(role))
    if str(role) == f"{cluster_lib.STORE}/0":
        run_directory.prepare(workdir, config)
    from mtssl_tf.distribute import roles

    roles.exit_now(roles.run_role(settings))


def _build_trainer(config: config_lib.RunConfig, workdir: pathlib.Path):
    import tensorflow as tf

    from mtssl_tf.training import loop
    from mtssl_tf.training import run

    tf.config.threading.set_intra_op_parallelism_threads(
        config.train.intra_op_threads
    )
    return loop.Trainer(run.build_run(config, workdir), workdir)


def _train(trainer) -> None:
    from mtssl_tf.data import source
    from mtssl_tf.process import stop_signal
    from mtssl_tf.training import loop

    stop = stop_signal.StopSignal()
    try:
        trainer.train(stop)
    except (loop.NonFiniteLossError, source.SourceError, OSError) as error:
        _exit_with(error)
    if stop.number is not None:
        # What a shell reports of a program that a signal ended.
        sys.exit(128 + stop.number)


def _exit_with(error: Exception) -> None:
    """Prints one line and stops with the exit code of a user's mistake."""
    print(f"mtssl_tf.train: {error}", file=sys.stderr)
    sys.exit(EXIT_USER_ERROR)


def _check_paths(config: config_lib.RunConfig) -> None:
    """Finds missing folders before TensorFlow is imported."""
    named = {"images": config.data.images, "videos": config.data.videos}
    if not any(named.values()):
        return  # The sample set.
    for kind in sorted(config.sources()):
        path = named[kind]
        if not path:
            raise ValueError(
                f"The tasks {', '.join(config.tasks)} need --{kind}. Name a "
                "folder, or choose --tasks that do without."
            )
        is_remote = path.startswith(("tfds:", "tfrecord:"))
        if not is_remote and not os.path.isdir(path):
            raise FileNotFoundError(
                f"--{kind}={path} is no folder that can be read."
            )


def _use_sample_set(config: config_lib.RunConfig) -> config_lib.RunConfig:
    """Fills in the built-in sample set where no data was named."""
    if config.data.images or config.data.videos:
        return config
    from mtssl_tf.data import sample_set

    logging.info("No --images and no --videos: using the sample set.")
    samples = sample_set.build_sample_set(config.data.cache_dir)
    return dataclasses.replace(
        config,
        data=dataclasses.replace(
            config.data,
            images=str(samples.images),
            videos=str(samples.videos),
        ),
    )


def _quiet_tensorflow() -> None:
    """Keeps TensorFlow's start-up chatter out of the user's terminal."""
    keras_settings.fix()
    logging.set_verbosity(logging.INFO)


def run_main() -> None:
    """Parses flags; a mistake is one line and exit code 2."""
    try:
        app.run(main, flags_parser=_parse_flags)
    except flags.Error as error:
        _exit_with(error)


def _parse_flags(argv: Sequence[str]) -> list[str]:
    try:
        return flags.FLAGS(argv)
    except flags.Error as error:
        _exit_with(error)
        raise


if __name__ == "__main__":
    run_main()
