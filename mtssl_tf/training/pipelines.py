"""Every task's batches, made ahead of the training loop."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import tensorflow as tf

from mtssl_tf.data import source as source_lib
from mtssl_tf.training import batches as batches_lib
from mtssl_tf.training import run as run_lib


def start_pipelines(
    run: run_lib.Run, steps: Mapping[str, int]
) -> dict[str, Iterator[Any]]:
    """Returns every task's batches from where it stopped.

    Args:
        run: of the tasks.
        steps: that each task has done.
    """
    iterators = {}
    for name, state in run.states.items():
        source = run.source_of(state.task).training
        dataset = batches_lib.build_batches(
            state.task,
            source,
            run.config.train.seed,
            run.skipped,
            steps[name] * state.task.config.batch_size,
        )
        if run.strategy.num_replicas_in_sync > 1:
            # It brings each replica's part to its device by itself.
            dataset = run.strategy.experimental_distribute_dataset(dataset)
            device = None
        else:
            device = _only_gpu()
        iterators[name] = source_lib.iterate(dataset, source, device)
    return iterators


def _only_gpu() -> str | None:
    """Returns the device that steps are taken on, or None for the host."""
    gpus = tf.config.list_logical_devices("GPU")
    return gpus[0].name if gpus else None
