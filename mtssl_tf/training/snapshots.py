"""Snapshots of a run: run directories of their own, named by their cost."""

from __future__ import annotations

from collections.abc import Callable
import pathlib

from mtssl_tf.process import atomic_file
from mtssl_tf.training import run_directory
from mtssl_tf.training import snapshot

# A step costs more than the last digit: 3.6 ms.
_NAME = "gpu_hours_{hours:014.6f}"


def keep(
    workdir: pathlib.Path,
    hours: float,
    step: int,
    save: Callable[[pathlib.Path], object],
) -> None:
    """Keeps a run as it is now, to evaluate and export like any other.

    It appears whole. One that is there already is left: a run that was killed
    after it does the same steps again.

    Args:
        workdir: the run directory.
        hours: GPU hours that the run has cost.
        step: of all tasks.
        save: writes a checkpoint into a run directory.

    Raises:
        OSError: it cannot be written.
    """
    folder = workdir / run_directory.SNAPSHOTS_FOLDER
    target = folder / _NAME.format(hours=hours)
    if target.exists():
        return
    with atomic_file.new_folder(target) as partial:
        snapshot.copy_identity(workdir, partial, step)
        save(partial)
