"""A task's batches, made ahead of the training loop."""

from __future__ import annotations

from collections.abc import Generator, Iterator
import contextlib
from typing import Any

import tensorflow as tf

from mtssl_tf.data import source as source_lib
from mtssl_tf.training import batches as batches_lib
from mtssl_tf.training import run as run_lib


def start_pipeline(
    run: run_lib.Run,
    name: str,
    num_steps: int,
    part: tuple[int, int] | None = None,
) -> Generator[Any, None, None]:
    """Returns a task's batches from where it stopped.

    Args:
        run: of the tasks.
        name: of the task.
        num_steps: that it has done.
        part: of each batch, as `build_batches` takes it, for a worker that
            sees to its own part; None for whole ones.

    Raises:
        SourceError, Exception: as `source.iterate`.
    """
    task = run.states[name].task
    source = run.source_of(task).training
    dataset = batches_lib.build_batches(
        task,
        source,
        run.config.train.seed,
        run.skipped,
        num_steps * task.config.batch_size,
        part=part or (0, 1),
    )
    if part is None and run.strategy.num_replicas_in_sync > 1:
        # It brings each replica's part to its device by itself.
        dataset = run.strategy.experimental_distribute_dataset(dataset)
        return source_lib.iterate(dataset, source)
    return source_lib.iterate(dataset, source, only_gpu())


@contextlib.contextmanager
def explained(batches: Iterator[Any]) -> Iterator[None]:
    """Raises what has ended a pipeline, not what that did to a step.

    Where an operation of one thread fails, TensorFlow aborts what others have
    on their way to a GPU, with the same error.

    Args:
        batches: that the step is one of.
    """
    try:
        yield
    except tf.errors.OpError:
        next(batches, None)
        raise


def only_gpu() -> str | None:
    """Returns the device that steps are taken on, or None for the host."""
    gpus = tf.config.list_logical_devices("GPU")
    return gpus[0].name if gpus else None
