"""The loop that fine-tunes; the same call goes on where it was stopped."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
import contextlib
import math
import pathlib
import time
import typing
from typing import Any

import tensorflow as tf

from evaluation import result
from mtssl_tf.models import lasso_mix
from mtssl_tf.process import command
from mtssl_tf.process import stop_signal
from mtssl_tf.reports import progress as progress_lib
from mtssl_tf.training import checkpoint_folder

_SAVE_EVERY_S = 300  # ours: what a crash may cost


class Training(typing.Protocol):
    """What an evaluation trains.

    Attributes:
        step: steps done.
        num_steps: steps to do in all.
        batch_size: pictures a step.
        remedy: what to do about a loss that is not finite.
    """

    @property
    def step(self) -> int: ...

    @property
    def num_steps(self) -> int: ...

    @property
    def batch_size(self) -> int: ...

    @property
    def remedy(self) -> str: ...

    def run_step(self, batch: Any) -> dict[str, float]:
        """Takes one step and returns the losses before it, by name."""
        ...


def restore(
    checkpoint: tf.train.Checkpoint, folder: pathlib.Path
) -> checkpoint_folder.CheckpointFolder:
    """Restores what was saved last and is whole, if anything was.

    Args:
        checkpoint: of all that going on to the bit needs.
        folder: of checkpoints.

    Returns:
        What saves into the folder.

    Raises:
        ValueError: none is whole, or it is of another model.
    """
    # The one before is kept for the case that the last one is damaged.
    checkpoints = checkpoint_folder.CheckpointFolder(folder, checkpoint, keep=2)
    checkpoints.restore()
    return checkpoints


def fine_tune(
    training: Training,
    batches: Iterable[Any],
    checkpoints: checkpoint_folder.CheckpointFolder,
    report: Callable[[int, Mapping[str, float]], None] | None = None,
) -> None:
    """Trains to the last step, or until a signal asks to stop, and saves.

    Args:
        training: restored.
        batches: of the steps that are left.
        checkpoints: from `restore`; it also saves now and then.
        report: gets the number of every step done, and its losses.

    Raises:
        FloatingPointError: a loss is not finite; nothing is saved then.
        command.Interrupted: a signal came after the first step, which saves
            what was done. Before, there is nothing to save: the first step is
            built, which takes long, and a signal does what it does elsewhere.
    """
    with contextlib.ExitStack() as listening:
        _take_steps(training, batches, checkpoints, report, listening)


def _take_steps(
    training: Training,
    batches: Iterable[Any],
    checkpoints: checkpoint_folder.CheckpointFolder,
    report: Callable[[int, Mapping[str, float]], None] | None,
    listening: contextlib.ExitStack,
) -> None:
    stop: stop_signal.StopSignal | None = None
    start, started_at = training.step, time.monotonic()
    progress = progress_lib.ProgressLine(training.num_steps, "steps", start)
    saved_at, text = started_at, ""
    for batch in batches:
        losses = run_checked_step(training, batch)
        if stop is None:
            stop = listening.enter_context(
                contextlib.closing(stop_signal.StopSignal())
            )
        step, now = training.step, time.monotonic()
        if report is not None:
            report(step, losses)
        rate = (step - start) * training.batch_size / (now - started_at)
        text = f"{rate:.1f} pictures/s  " + "  ".join(
            f"{name} {loss:.3f}" for name, loss in losses.items()
        )
        progress.update(step, text)
        if stop.is_requested:
            checkpoints.save(step)
            progress.finish(f"step {step}/{training.num_steps}  {text}")
            raise command.Interrupted(stop, f"and saved at step {step}")
        if now - saved_at > _SAVE_EVERY_S:
            checkpoints.save(step)
            saved_at = now
    if stop is not None:  # there was a step to do
        checkpoints.save(training.step)
        progress.finish(f"step {training.step}/{training.num_steps}  {text}")
        if stop.is_requested:
            raise command.Interrupted(stop, "after the last step")


def run_checked_step(training: Training, batch: Any) -> dict[str, float]:
    """Takes one step and returns the losses before it.

    Raises:
        FloatingPointError: a loss is not finite; names loss and step.
    """
    step = training.step + 1
    losses = training.run_step(batch)
    check_finite(losses, f"step {step}", training.remedy)
    return losses


def check_finite(losses: Mapping[str, float], where: str, remedy: str) -> None:
    """Raises FloatingPointError naming the losses that are not finite."""
    wrong = [name for name, loss in losses.items() if not math.isfinite(loss)]
    if wrong:
        raise FloatingPointError(
            f"{', '.join(wrong)} not finite at {where}: {dict(losses)}. "
            f"{remedy}"
        )


def mix_entries(
    evaluation: str, mix: lasso_mix.LassoMix | None
) -> dict[str, Any]:
    """Returns `result.mix_entries` of a mix, none without one."""
    if mix is None:
        return {}
    return result.mix_entries(evaluation, mix.mixing_weights(), mix.unit_names)
