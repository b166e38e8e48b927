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
from mtssl_tf.distribute import options as options_lib
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
        cluster = train_flags.cluster_from_flags(config)
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
        run_directory.prepare(workdir, config)
        if cluster is not None:
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
    with start_ray.connected(options, num_workers + options.store_shards):
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
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ["KERAS_BACKEND"] = "tensorflow"
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
