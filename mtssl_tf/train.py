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
from mtssl_tf.distribute import launch
from mtssl_tf.distribute import options as options_lib
from mtssl_tf.process import keras_settings
from mtssl_tf.training import run_directory

EXIT_USER_ERROR = 2
_FORMER_FLAGS = ("role", "strict_store")

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
        cluster = train_flags.cluster_from_flags(config)
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
            run_directory.prepare(workdir, config)
            _train_on_cluster(config, workdir, cluster)
            return
        trainer = _build_trainer(config, workdir)
    except (ValueError, OSError) as error:
        _exit_with(error)
    _train(trainer)


def _train_on_cluster(
    config: config_lib.RunConfig,
    workdir: pathlib.Path,
    options: options_lib.ClusterOptions,
) -> None:
    """Trains on Ray, which starts before TensorFlow is imported."""
    from mtssl_tf.distribute import start_ray

    num_workers = sum(group.most for group in options.workers.values())
    with start_ray.connected(
        options.address,
        num_workers + options.store_shards,
        options.has_dashboard,
        options.allows_open,
    ):
        from mtssl_tf.distribute import run
        from mtssl_tf.process import stop_signal

        # After Ray, which has a handler of its own.
        stop = stop_signal.StopSignal(workdir / run.STOP_FILE)
        message = run.ClusterRun(config, workdir, options).train(stop)
    if message:
        raise ValueError(message)
    if stop.number is not None:
        sys.exit(128 + stop.number)


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
        flag = getattr(error, "flagname", "")
        if flag in _FORMER_FLAGS:
            _exit_with(ValueError(f"--{flag} is gone. {launch.INSTEAD}"))
        _exit_with(error)
        raise


if __name__ == "__main__":
    run_main()
