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
from mtssl_tf import tasks
from mtssl_tf.distribute import cluster as cluster_lib
from mtssl_tf.distribute import settings as settings_lib
from mtssl_tf.process import keras_settings
from mtssl_tf.training import run_directory

EXIT_USER_ERROR = 2

_TASKS = flags.DEFINE_list(
    "tasks",
    [name for name, task in tasks.TASKS.items() if task.is_pretext],
    f"Tasks to train, with commas between. Known: {', '.join(tasks.TASKS)}.",
)
_IMAGES = flags.DEFINE_string(
    "images",
    "",
    "Pictures: a folder, searched recursively, tfds:NAME:SPLIT, or "
    "tfrecord:GLOB. With neither --images nor --videos: the sample set.",
)
_VIDEOS = flags.DEFINE_string(
    "videos",
    "",
    "A folder of video files and of folders of numbered frames.",
)
_WORKDIR = flags.DEFINE_string(
    "workdir", "", "Run directory. The same command again goes on from it."
)
_PRESET = flags.DEFINE_enum(
    "preset", "tiny", list(config_lib.PRESETS), "Scale of trunk and training."
)
_LASSO = flags.DEFINE_bool(
    "lasso", False, "Each task reads its own sparse mix of block-3 units."
)
_HARMONIZE = flags.DEFINE_bool(
    "harmonize", False, "Relative position sees grey, as colorization does."
)
_STEPS = flags.DEFINE_integer(
    "steps", None, "Training steps in all; the preset's if absent.", 1
)
_PRECISION = flags.DEFINE_enum(
    "precision", "float32", config_lib.PRECISIONS, "Of activations."
)
_PROBE = flags.DEFINE_string(
    "probe",
    "",
    "A labelled folder (a folder a class): the trunk's k-NN and linear "
    "accuracy on it, every so often.",
)
_PROFILE = flags.DEFINE_string(
    "profile", "", "START:STOP, steps to trace for TensorBoard."
)
_SET = flags.DEFINE_multi_string(
    "set", [], "Any other setting: section.key=value. See --dry_run."
)
_CLUSTER = flags.DEFINE_string(
    "cluster", "", "Cluster file of a distributed run (docs/distributed.md)."
)
_ROLE = flags.DEFINE_string(
    "role", "", "With --cluster: this process, TASK/INDEX or store/INDEX."
)
_STRICT_STORE = flags.DEFINE_bool(
    "strict_store", False, "With --cluster: save the store at every commit."
)
_CALIBRATE = flags.DEFINE_bool(
    "calibrate", False, "With --cluster: measure seconds per step, then stop."
)
_SNAPSHOT_EVERY = flags.DEFINE_float(
    "snapshot_every_gpu_hours",
    0.0,
    "With --cluster: GPU hours between snapshots, which are kept.",
)
_DRY_RUN = flags.DEFINE_bool(
    "dry_run", False, "Print settings, size, cost and data; then stop."
)


def config_from_flags() -> config_lib.RunConfig:
    """Returns the settings that the flags ask for.

    Raises:
        ValueError: something is unknown or does not fit together.
    """
    config = config_lib.preset_config(_PRESET.value, _TASKS.value)
    if _HARMONIZE.value:
        config = config_lib.harmonize(config)
    config = dataclasses.replace(
        config,
        data=dataclasses.replace(
            config.data, images=_IMAGES.value, videos=_VIDEOS.value
        ),
        train=dataclasses.replace(
            config.train,
            precision=_PRECISION.value,
            use_lasso=_LASSO.value,
            probe=_PROBE.value,
            profile=_parse_profile(_PROFILE.value),
            steps=_STEPS.value or config.train.steps,
        ),
    )
    for assignment in _SET.value:
        config = config_lib.override(config, assignment)
    return config


def main(argv: Sequence[str]) -> None:
    """Checks everything a user can get wrong, then trains."""
    try:
        if len(argv) > 1:
            raise ValueError(f"There are only flags here, got {argv[1:]}.")
        config = config_from_flags()
        if not _WORKDIR.value and not _DRY_RUN.value:
            raise ValueError("--workdir is missing: name a run directory.")
        _check_paths(config)
        cluster = _load_cluster()
    except (ValueError, OSError) as error:
        _exit_with(error)
    _quiet_tensorflow()
    try:
        config = _use_sample_set(config)
        if _DRY_RUN.value:
            from mtssl_tf.training import dry_run

            print(dry_run.describe(config))
            return
        workdir = pathlib.Path(_WORKDIR.value)
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
    if _CLUSTER.value or _ROLE.value:
        raise ValueError(
            "--cluster and --role behind -- are for starting one role of "
            "several machines with mtssl_tf.train. Leave them out."
        )
    if _DRY_RUN.value:
        raise ValueError(
            "--dry_run describes one machine's run: give it to mtssl_tf.train."
        )
    if not _WORKDIR.value:
        raise ValueError("--workdir is missing: name a run directory.")
    config = config_from_flags()
    _check_paths(config)
    _quiet_tensorflow()
    config = _use_sample_set(config)
    workdir = pathlib.Path(_WORKDIR.value)
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
            _STRICT_STORE.value,
            _CALIBRATE.value,
            _SNAPSHOT_EVERY.value,
        )
    )


def _load_cluster() -> tuple[cluster_lib.Cluster, cluster_lib.Role] | None:
    if bool(_CLUSTER.value) != bool(_ROLE.value):
        raise ValueError(
            f"--cluster={_CLUSTER.value} and --role={_ROLE.value} go "
            "together: the cluster file, and which of its roles to run."
        )
    if not _CLUSTER.value:
        for flag in (_STRICT_STORE, _CALIBRATE, _SNAPSHOT_EVERY):
            if flag.value:
                raise ValueError(
                    f"--{flag.name} is for distributed runs. One machine has "
                    "it with python -m mtssl_tf.distribute.launch."
                )
        return None
    cluster = cluster_lib.load_cluster(_CLUSTER.value)
    return cluster, cluster_lib.parse_role(_ROLE.value, cluster)


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


def _parse_profile(text: str) -> tuple[int, ...]:
    if not text:
        return ()
    try:
        start, stop = (int(part) for part in text.split(":"))
    except ValueError:
        raise ValueError(
            f"--profile={text} is not START:STOP, two step numbers."
        ) from None
    return (start, stop)


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
