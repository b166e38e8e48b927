"""Trains a trunk on pretext tasks: `python -m mtssl_tf.train`.

From flags to a checked configuration to a run. TensorFlow is imported only
when there is work, so that `--help` and a mistyped flag answer at once.
"""

from __future__ import annotations

from collections.abc import Sequence
import pathlib
import sys

from absl import app
from absl import flags
from absl import logging

from mtssl_tf import config as config_lib
from mtssl_tf import pretraining
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
        pretraining.check_paths(config)
        cluster = _load_cluster()
    except (ValueError, OSError) as error:
        _exit_with(error)
    logging.set_verbosity(logging.INFO)
    try:
        keras_settings.fix()
        config = pretraining.use_sample_set(config)
        if train_flags.DRY_RUN.value:
            from mtssl_tf.training import dry_run

            print(dry_run.describe(config))
            return
        workdir = pathlib.Path(train_flags.WORKDIR.value)
        if cluster is not None:
            _run_role(*cluster, config, workdir)
        trainer = _build_trainer(config, workdir)
    except (ValueError, OSError) as error:
        _exit_with(error)
    _train(trainer)


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
    settings = settings_lib.from_flags(config, workdir, cluster, role)
    cluster_lib.check_bindable(role, cluster.address(role))
    if str(role) == f"{cluster_lib.STORE}/0":
        run_directory.prepare(workdir, config)
    from mtssl_tf.distribute import roles

    roles.exit_now(roles.run_role(settings))


def _build_trainer(config: config_lib.RunConfig, workdir: pathlib.Path):
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(
        config.train.intra_op_threads
    )
    return pretraining.build_trainer(config, workdir)


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
