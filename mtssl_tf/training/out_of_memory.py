"""Memory that did not suffice, said in one line that names what helps."""

from __future__ import annotations

from collections.abc import Iterator
import contextlib

from mtssl_tf import config as config_lib
from mtssl_tf.lazy_imports import tf
from mtssl_tf.tasks import base


class OutOfMemoryError(OSError):
    """The GPU or the host has no memory left."""


@contextlib.contextmanager
def explained(config: config_lib.RunConfig, task: str) -> Iterator[None]:
    """Turns what the block raises for want of memory into one line.

    Args:
        config: of the run.
        task: whose step it is.

    Raises:
        OutOfMemoryError: names task, batch and what helps.
    """
    try:
        yield
    except tf.errors.ResourceExhaustedError as error:
        where = "GPU" if "GPU" in (error.message or "") else "host"
    except MemoryError:
        where = "host"
    else:
        return
    # Not from within the handler: the first error would keep the tensors of
    # the frames that it names.
    raise OutOfMemoryError(
        f"The {where} has no memory left at a step of {task} with batches of "
        f"{config.tasks[task].batch_size}. {remedy(config, [task])}"
    )


def remedy(config: config_lib.RunConfig, tasks: list[str]) -> str:
    """Returns what makes a run need less memory, in a sentence."""
    smaller = " ".join(
        f"--set {name}.batch_size={_half(config.tasks[name])}" for name in tasks
    )
    precision = ""
    if config.train.precision == "float32":
        precision = " or --precision=bfloat16"
    remat = "" if config.train.remat else "--remat with the same command; "
    return (
        f"What helps: {remat}smaller batches ({smaller}){precision}, in a new "
        "--workdir since both change what is learned; or end what else uses "
        "the memory, and run the same command again."
    )


def _half(task: base.TaskConfig) -> int:
    """Returns half of a batch, in whole pictures."""
    return max(task.pictures_per_batch // 2, 1) * task.patches_per_picture
