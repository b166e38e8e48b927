"""A run as it was after some step, as a run directory of its own.

It is exported, evaluated and gone on from like the run itself.
"""

from __future__ import annotations

from collections.abc import Callable
import os
import pathlib
import shutil

from mtssl_tf.process import atomic_file
from mtssl_tf.reports import metrics_log
from mtssl_tf.training import checkpoint
from mtssl_tf.training import checkpoint_folder
from mtssl_tf.training import environment
from mtssl_tf.training import run_directory

# A step costs more than the last digit: 3.6 ms.
_NAME_BY_COST = "gpu_hours_{hours:014.6f}"


def keep(
    workdir: pathlib.Path,
    path: str | os.PathLike,
    step: int,
    target: pathlib.Path,
    note: tuple[str, str] | None = None,
) -> None:
    """Keeps a checkpoint of a run; what was at `target` gives way.

    Its files get a second name: they take space of their own once the run
    has deleted its own.

    Args:
        workdir: the run directory.
        path: of the checkpoint, in any folder.
        step: after which it was saved.
        target: run directory to make.
        note: name and text of a further file in it.

    Raises:
        OSError: it cannot be written.
    """
    with atomic_file.new_folder(target, replaces=True) as folder:
        copy_identity(workdir, folder, step)
        checkpoints = folder / checkpoint.FOLDER
        checkpoints.mkdir()
        link(pathlib.Path(path), checkpoints)
        checkpoint_folder.write_list(checkpoints, [step])
        if note is not None:
            name, text = note
            (folder / name).write_text(text)


def keep_at_cost(
    workdir: pathlib.Path,
    hours: float,
    step: int,
    save: Callable[[pathlib.Path], object],
) -> None:
    """Keeps a run as it is now, in a folder named by its cost.

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
    target = folder / _NAME_BY_COST.format(hours=hours)
    if target.exists():
        return
    with atomic_file.new_folder(target) as partial:
        copy_identity(workdir, partial, step)
        save(partial)


def copy_identity(
    workdir: pathlib.Path, folder: pathlib.Path, step: int
) -> None:
    """Makes `folder` the run directory of a step, but for its checkpoint.

    Args:
        workdir: the run directory.
        folder: made if it is missing.
        step: after which nothing of the metrics is taken.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for path in run_directory.identity_files(workdir):
        shutil.copy2(path, folder)
    if (workdir / environment.FILE).exists():
        shutil.copy2(workdir / environment.FILE, folder)
    facts = workdir / run_directory.FACTS_FOLDER
    if facts.is_dir():
        shutil.copytree(facts, folder / facts.name, dirs_exist_ok=True)
    log = workdir / metrics_log.FILE
    if log.exists():
        metrics_log.cut(log, folder / metrics_log.FILE, step)


def link(path: pathlib.Path, folder: pathlib.Path) -> None:
    """Gives a checkpoint's files a second name in `folder`."""
    for file in checkpoint_folder.files_of(path):
        name = folder / file.name
        name.unlink(missing_ok=True)
        try:
            os.link(file, name)
        except OSError:
            shutil.copy2(file, name)  # a file system without links
