"""Trains a trunk on pretext tasks: `python -m mtssl_tf.train`.

From flags to a checked configuration to a run. TensorFlow is imported only
when there is work, so that `--help` and a mistyped flag answer at once.
"""

# ruff: noqa: E402
from __future__ import annotations

from mtssl_tf.process import end_signals

if __name__ == "__main__":
    end_signals.take()  # before the imports below, which take a while

from collections.abc import Sequence
import pathlib
import sys

from absl import flags
from absl import logging

from mtssl_tf import config as config_lib
from mtssl_tf import pretraining
from mtssl_tf import run_settings
from mtssl_tf import train_flags
from mtssl_tf.data import remote
from mtssl_tf.distribute import launch
from mtssl_tf.distribute import options as options_lib
from mtssl_tf.process import command
from mtssl_tf.process import lock
from mtssl_tf.training import cost_table
from mtssl_tf.training import run_directory

NAME = "mtssl_tf.train"
_FORMER_FLAGS = ("role", "strict_store")


def main(argv: Sequence[str]) -> int:
    """Runs the command and returns its exit code."""
    former = [
        name
        for name in _FORMER_FLAGS
        if any(text.lstrip("-").partition("=")[0] == name for text in argv[1:])
    ]
    if former:

        def refuse() -> None:
            raise ValueError(f"--{former[0]} is gone. {launch.INSTEAD}")

        return command.call(NAME, refuse)
    return command.run(NAME, __doc__, train_flags.FLAGS, argv, _work)


def _work(values: flags.FlagValues) -> int:
    """Checks everything a user can get wrong, then trains."""
    del values  # train_flags reads them
    config = train_flags.config_from_flags()
    calibrates_here = train_flags.calibrates_here()
    is_run = not (train_flags.DRY_RUN.value or calibrates_here)
    if is_run and not train_flags.WORKDIR.value:
        raise ValueError("--workdir is missing: name a run directory.")
    run_settings.check_paths(config)
    if not train_flags.CALIBRATE.value:
        cost_table.check(config)
    upload = train_flags.UPLOAD.value
    if upload:
        remote.check(upload)
    cluster = train_flags.cluster_from_flags(config)
    logging.set_verbosity(logging.INFO)
    if train_flags.TASKS.value is None:
        run_settings.tell_left_out(config, train_flags.RECIPE.value)
    config = run_settings.use_sample_set(config)
    if train_flags.DRY_RUN.value:
        return _tell(config)
    if calibrates_here:
        return _calibrate(config)
    workdir = pathlib.Path(train_flags.WORKDIR.value)
    with run_directory.hold(workdir, command.end_at_lost_lock(NAME)):
        if cluster is not None:
            if not pretraining.begins_with_tensorflow(config):
                config = pretraining.begin(config, workdir)
            code = _train_on_cluster(config, workdir, cluster)
        else:
            code = _train(_build_trainer(config, workdir))
        if upload and not code:
            remote.upload(
                workdir, upload, run_directory.CONFIG_FILE, {lock.FILE}
            )
            logging.info("%s is copied to %s.", workdir, upload)
    return code


def _tell(config: config_lib.RunConfig) -> int:
    from mtssl_tf.training import dry_run

    costs, prices = config.train.costs, None
    if costs:
        prices = cost_table.load(pathlib.Path(costs), config)
    print(dry_run.describe(config, prices))
    return 0


def _calibrate(config: config_lib.RunConfig) -> int:
    from mtssl_tf.checkup import calibration

    for line in calibration.calibrate(config, pathlib.Path(config.train.costs)):
        print(line, flush=True)
    return 0


def _train_on_cluster(
    config: config_lib.RunConfig,
    workdir: pathlib.Path,
    options: options_lib.ClusterOptions,
) -> int:
    """Trains on Ray, which starts before TensorFlow is imported."""
    from mtssl_tf.distribute import start_ray

    with start_ray.connected(
        options.address,
        options.most_workers() + options.store_shards,
        options.has_dashboard,
        options.allows_open,
    ):
        from mtssl_tf.distribute import run
        from mtssl_tf.process import stop_signal

        if pretraining.begins_with_tensorflow(config):
            config = pretraining.begin(config, workdir)
        # After Ray, which has a handler of its own.
        stop = stop_signal.StopSignal(workdir / run.STOP_FILE)
        message = run.ClusterRun(config, workdir, options).train(stop)
    if message:
        raise ValueError(message)
    return _exit_code(stop.number)


def _build_trainer(config: config_lib.RunConfig, workdir: pathlib.Path):
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(
        config.train.intra_op_threads
    )
    return pretraining.build_trainer(config, workdir)


def _train(trainer) -> int:
    from mtssl_tf.process import stop_signal

    stop = stop_signal.StopSignal()
    trainer.train(stop)
    return _exit_code(stop.number)


def _exit_code(number: int | None) -> int:
    """Returns what a shell reports of a program that a signal ended."""
    return 0 if number is None else end_signals.EXIT_SIGNAL + number


if __name__ == "__main__":
    command.end(main(sys.argv))
