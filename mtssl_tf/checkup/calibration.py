"""Measures what a step of each task takes on this machine: `--calibrate`.

One task after the other, so that nobody is in another's way, by whole batches
of real pictures. Of clips it is one frame over and over: to label others is
done once, beside training, and is no part of a step.
"""

from __future__ import annotations

from collections.abc import Iterator
import itertools
import pathlib

import tensorflow as tf

from mtssl_tf import config as config_lib
from mtssl_tf.checkup import clip_facts
from mtssl_tf.checkup import pace
from mtssl_tf.data import choose_range
from mtssl_tf.data import open_source
from mtssl_tf.data import skipped as skipped_lib
from mtssl_tf.data import source as source_lib
from mtssl_tf.training import cost_table
from mtssl_tf.training import devices
from mtssl_tf.training import gpu_hours
from mtssl_tf.training import out_of_memory
from mtssl_tf.training import pipelines
from mtssl_tf.training import run as run_lib


def calibrate(
    config: config_lib.RunConfig, path: pathlib.Path
) -> Iterator[str]:
    """Measures, adds each task to the table, and yields a line about it.

    Args:
        config: the settings, with the data that its tasks need.
        path: of the table.

    Raises:
        OutOfMemoryError: a step does not fit into memory.
        OSError: data is missing, or the table cannot be written.
        ValueError: the data cannot be used, or the table is of another
            machine.
    """
    machine = devices.describe()
    cost_table.check_machine(path, machine)
    run = _build_run(config)
    for name in run.states:
        seconds = _median_s(run, name)
        cost_table.save(path, config, machine, {name: seconds})
        yield f"{name}: {seconds:.3g} GPU seconds a step, on {machine}"


def _median_s(run: run_lib.Run, name: str) -> float:
    """Returns the GPU seconds of a step of a task."""
    batches = pipelines.start_pipeline(run, name, 0)
    try:
        with out_of_memory.explained(run.config, name):
            taken = pace.steps_taken(
                run.states[name],
                batches,
                run.strategy,
                run.config.train,
            )
            step_s = list(itertools.islice(taken, gpu_hours.NUM_MEASURED))
    finally:
        batches.close()
    num_gpus = run.strategy.num_replicas_in_sync  # 1 without any
    return num_gpus * gpu_hours.median_of_measured(step_s)


def _build_run(config: config_lib.RunConfig) -> run_lib.Run:
    """Returns a run that has no directory: what tasks fit is left out."""
    tf.config.threading.set_intra_op_parallelism_threads(
        config.train.intra_op_threads
    )
    tasks = config.build_tasks()
    strategy = run_lib.choose_strategy()
    with strategy.scope():
        trunk, states = run_lib.build_states(config, tasks)
    return run_lib.Run(
        config,
        strategy,
        {
            kind: source_lib.SplitSource(_open(kind, config), None)
            for kind in config.sources()
        },
        trunk,
        states,
        skipped_lib.SkippedExamples(),
    )


def _open(kind: str, config: config_lib.RunConfig) -> source_lib.Source:
    if kind == "images":
        return choose_range.settled(
            open_source.open_pictures(config.data.images),
            config.value_range,
        )
    return pace.OneFrame(
        clip_facts.first_frame(
            config.data.videos,
            config.motion.window_frames,
            config.labelled_short_side_px(),
        )
    )
