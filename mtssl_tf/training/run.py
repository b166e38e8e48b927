"""A training run put together: sources, tasks, trunk, heads, optimizers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
import dataclasses
import pathlib

from absl import logging
import keras
import numpy as np
import tensorflow as tf

from mtssl_tf import config as config_lib
from mtssl_tf import tasks as tasks_lib
from mtssl_tf import weighting
from mtssl_tf.data import kept_list
from mtssl_tf.data import listing
from mtssl_tf.data import open_source
from mtssl_tf.data import skipped as skipped_lib
from mtssl_tf.data import source as source_lib
from mtssl_tf.data import videos
from mtssl_tf.models import lasso_mix
from mtssl_tf.process import paths
from mtssl_tf.tasks import base
from mtssl_tf.tasks import heads
from mtssl_tf.training import batches
from mtssl_tf.training import devices
from mtssl_tf.training import rmsprop as rmsprop_lib
from mtssl_tf.training import run_data
from mtssl_tf.training import run_directory
from mtssl_tf.training import step
from mtssl_tf.training import task_model
from mtssl_tf.weighting import weighing


@dataclasses.dataclass(frozen=True)
class Run:
    """Everything that training needs.

    Attributes:
        config: the settings.
        strategy: how a step is spread over this machine's devices.
        sources: 'images' and 'videos', those that the tasks need.
        trunk: the shared trunk.
        states: task name -> its state, in the order of `--tasks`.
        skipped: pictures and clips that could not be used.
    """

    config: config_lib.RunConfig
    strategy: tf.distribute.Strategy
    sources: Mapping[str, source_lib.SplitSource]
    trunk: keras.Model
    states: Mapping[str, step.TaskState]
    skipped: skipped_lib.SkippedExamples

    def close(self) -> None:
        """Ends what its sources are busy with; they give nothing more."""
        for split in self.sources.values():
            split.training.close()
            if split.held_out is not None:
                split.held_out.close()

    def source_of(self, task: base.Task) -> source_lib.SplitSource:
        """Returns the source that a task learns from."""
        return self.sources[task.source]


def figures(run: Run) -> list[str]:
    """Returns the names, as in TensorBoard, of what says how good a run is."""
    train = run.config.train
    names = [
        f"{name}/held_out/{metric}"
        for name, state in run.states.items()
        for metric in state.task.chance()
    ]
    names += ["rank/rankme"] if train.rank_every else []
    return names + (["probe/linear_top1"] if train.probe else [])


def build_weighing(run: Run) -> weighing.Weighing | None:
    """Returns a run's dynamic weights at its start; None where it has none."""
    train = run.config.train
    if train.weighting == weighting.FIXED:
        return None
    tasks = {name: state.task for name, state in run.states.items()}
    return weighing.Weighing(
        train.weighting,
        {name: task.config.weight for name, task in tasks.items()},
        {name: task.chance()["loss"] for name, task in tasks.items()},
        train.weigh_every,
        train.least_share,
    )


def open_sources(
    config: config_lib.RunConfig,
    kept: kept_list.KeptLists | None = None,
    records_in: str | None = "",
) -> dict[str, source_lib.SplitSource]:
    """Opens the folders and datasets that the tasks need.

    Args:
        config: the settings.
        kept: the run's list of its pictures; None lists what is there now.
        records_in: as `ShardIndex.names` takes it.

    Raises:
        FileNotFoundError: one is missing.
        ValueError: one is empty, or a task's source was not named.
    """
    data = config.data
    needed = config.sources()
    for kind in sorted(needed):
        if not getattr(data, kind):
            names = [
                name
                for name in config.tasks
                if tasks_lib.find_task(name).source == kind
            ]
            raise ValueError(
                f"--tasks={','.join(names)} needs --{kind}. Name a folder, "
                "or leave the task out of --tasks."
            )
    sources = {}
    if "images" in needed:
        pictures = open_source.open_pictures(
            data.images,
            kept.files_below if kept else listing.files_below,
            records_in,
        ).in_range(config.contract.value_range)
        sources["images"] = source_lib.split_source(
            pictures,
            data.held_out_images,
            kept.hash_names(pictures.names) if kept else None,
        )
    if "videos" in needed:
        clips = videos.open_videos(
            data.videos,
            config.motion,
            pathlib.Path(paths.expand(data.cache_dir)) / "labelled_clips",
            config.labelled_short_side_px(),
            int(data.cache_gib * 2**30),
        )
        sources["videos"] = source_lib.split_source(clips, data.held_out_videos)
    return sources


def open_own_sources(
    config: config_lib.RunConfig, workdir: pathlib.Path
) -> dict[str, source_lib.SplitSource]:
    """Opens the sources of the run in `workdir`, as it began with them.

    Raises:
        FileNotFoundError: one is missing.
        ValueError: one is empty, or is not the same as at the start.
    """
    kept = kept_list.KeptLists(workdir / run_directory.LIST_FILE)
    records_in = run_data.records_in(workdir, config.data.images)
    sources = open_sources(config, kept, records_in)
    for kind, source in sources.items():
        run_data.check(
            workdir,
            kind,
            getattr(config.data, kind),
            source.names(),
            0 if source.held_out is None else len(source.held_out),
        )
    kept.save()
    return sources


def build_run(
    config: config_lib.RunConfig,
    workdir: pathlib.Path,
    strategy: tf.distribute.Strategy | None = None,
) -> Run:
    """Builds a run at its start; the caller restores a checkpoint.

    Facts that tasks fit on the data are read from `workdir` where an earlier
    start of the same run left them.

    Args:
        config: the settings.
        workdir: the run directory.
        strategy: over devices; all of this machine's if None.
    """
    sources = open_own_sources(config, workdir)
    skipped = skipped_lib.SkippedExamples()
    tasks = config.build_tasks()
    for task in tasks.values():
        task.use_facts(
            _load_or_fit_facts(
                task, sources[task.source].training, config, workdir, skipped
            )
        )
    keras.utils.set_random_seed(config.train.seed)
    strategy = strategy or choose_strategy()
    _check_parts_are_equal(tasks, strategy.num_replicas_in_sync)
    with strategy.scope():
        trunk, states = build_states(config, tasks)
    return Run(config, strategy, sources, trunk, states, skipped)


def build_states(
    config: config_lib.RunConfig, tasks: Mapping[str, base.Task]
) -> tuple[keras.Model, dict[str, step.TaskState]]:
    """Builds the trunk and every task's state on it."""
    dtype = heads.dtype_policy(config.train.precision)
    shared = task_model.TrunkAtStrides(config.trunk, dtype)
    states = {}
    for name, task in tasks.items():
        task.use_trunk(config.trunk)
        mix = None
        if config.train.use_lasso:
            mix = lasso_mix.build(config.lasso, dtype=dtype, name="mix")
        trunk = shared.at(task.config.output_stride)
        recomputed = None
        if config.train.remat:
            recomputed = shared.recomputed_at(task.config.output_stride)
        model = task_model.build_task_model(
            trunk, task, batches.views_shape(task)[1:], mix, recomputed
        )
        variables = list(model.head.trainable_variables)
        if not config.train.freeze_trunk:
            # The base trunk's order, whatever the stride: slots must match.
            variables = shared.trunk.trainable_variables + variables
        rmsprop = rmsprop_lib.build_rmsprop(
            variables,
            task.learning_rate(),
            config.train.rms_decay,
            config.train.momentum,
            config.train.epsilon,
        )
        states[name] = step.TaskState(
            task, model, rmsprop, variables, config.train.weight_decay
        )
    return shared.trunk, states


def _check_parts_are_equal(
    tasks: Mapping[str, base.Task], num_replicas: int
) -> None:
    """Raises ValueError where replicas could not compare their examples."""
    for name, task in tasks.items():
        batch_size = task.config.batch_size
        if task.compares_examples and batch_size % num_replicas:
            raise ValueError(
                f"{name} compares the examples of a batch, and "
                f"{name}.batch_size={batch_size} cannot be divided over "
                f"{num_replicas} devices. Set it to a multiple of "
                f"{num_replicas}, or hide some (CUDA_VISIBLE_DEVICES)."
            )


def choose_strategy() -> tf.distribute.Strategy:
    """Returns MirroredStrategy on a machine of several GPUs."""
    unused = devices.unused_gpu()
    if unused:
        logging.warning("%s", unused)
    gpus = tf.config.list_logical_devices("GPU")
    if len(gpus) > 1:
        return tf.distribute.MirroredStrategy()
    return tf.distribute.get_strategy()


def _load_or_fit_facts(
    task: base.Task,
    source: source_lib.Source,
    config: config_lib.RunConfig,
    workdir: pathlib.Path,
    skipped: skipped_lib.SkippedExamples,
) -> dict[str, np.ndarray]:
    facts = run_directory.load_facts(workdir, task.name)
    if facts is not None:
        return facts

    def examples() -> Iterator[dict[str, tf.Tensor]]:
        # Of few pictures several views each: what one view of each shows is
        # not what is trained on. Of a clip one: others may not be labelled.
        num_fit = config.data.num_fit
        if task.source == "videos":
            num_fit = min(num_fit, len(source))
        # Only once the first one is asked for: some tasks ask for none.
        positions = tf.data.Dataset.range(num_fit)
        stream = source.stream(
            positions,
            config.train.seed,
            skipped,
            task.smallest_side_px,
            task.num_frames,
        )
        yield from source_lib.iterate(stream.prefetch(tf.data.AUTOTUNE), source)

    facts = task.fit(examples())
    run_directory.save_facts(workdir, task.name, facts)
    return facts
