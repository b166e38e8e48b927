"""Memory that did not suffice, said in one line that names what helps."""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import dataclasses

from mtssl_tf import config as config_lib
from mtssl_tf import config_checks
from mtssl_tf.lazy_imports import tf
from mtssl_tf.tasks import base


class OutOfMemoryError(OSError):
    """The GPU or the host has no memory left."""


@contextlib.contextmanager
def explained(
    config: config_lib.RunConfig, task: str, has_parts: bool = True
) -> Iterator[None]:
    """Turns what the block raises for want of memory into one line.

    Args:
        config: of the run.
        task: whose step it is.
        has_parts: as `remedy` takes it.

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
        f"{config.tasks[task].batch_size}. "
        f"{remedy(config, [task], has_parts)}"
    )


def remedy(
    config: config_lib.RunConfig, tasks: list[str], has_parts: bool = True
) -> str:
    """Returns what makes a run need less memory, in a sentence.

    Args:
        config: of the run.
        tasks: those whose steps need most.
        has_parts: whether a batch can be computed in parts, as it can on one
            machine.
    """
    smaller = " ".join(
        f"--set {name}.batch_size={_half(config.tasks[name])}" for name in tasks
    )
    precision = ""
    if config.train.precision == "float32":
        precision = ", or --precision=bfloat16"
    remat = "" if config.train.remat else "--remat with the same command; "
    parts = ""
    if has_parts and (number := _more_parts(config)):
        parts = f"the same batches in parts (--set train.accumulate={number}), "
    return (
        f"What helps: {remat}{parts}smaller batches ({smaller}){precision}, in "
        "a new --workdir since these change what is learned; or end what else "
        "uses the memory, and run the same command again."
    )


def _half(task: base.TaskConfig) -> int:
    """Returns half of a batch, in whole pictures."""
    return max(task.pictures_per_batch // 2, 1) * task.patches_per_picture


def _more_parts(config: config_lib.RunConfig) -> int | None:
    """Returns the next number of parts that all batches can be cut into."""
    number = 2 * config.train.accumulate
    train = dataclasses.replace(config.train, accumulate=number)
    try:
        config_checks.check_parts(dataclasses.replace(config, train=train))
    except ValueError:
        return None
    return number
