"""Checkpoints from before a trouble: where a run can be taken up again.

A trouble is noticed some steps after it began, and training goes on after
that: by then all that the run has kept may be from after its beginning.
"""

from __future__ import annotations

import pathlib
import shutil

from mtssl_tf.training import checkpoint_folder
from mtssl_tf.training import snapshot

# A run directory of its own, by the steps that it has done.
FOLDER = "before_trouble_{step}"
_CANDIDATES = ".healthy"
_KEPT_FOR = 500  # ours: steps; every trouble is noticed within as many
_SPACING = 100  # ours: steps; at most five candidates and one that is older


class BeforeTrouble:
    """Holds the last checkpoints a little longer than the run does.

    Candidates are the run's own files under a second name: they take space
    of their own once the run has deleted its own. In the end that is one
    checkpoint, where those of the run are more than 500 steps apart.
    """

    def __init__(self, workdir: pathlib.Path, step: int) -> None:
        """Starts at a step; nothing is known of how training went before.

        Args:
            workdir: the run directory.
            step: that the run goes on from.
        """
        self._workdir = workdir
        self._folder = workdir / _CANDIDATES
        self._candidates: list[tuple[int, str]] = []
        shutil.rmtree(self._folder, ignore_errors=True)
        pattern = FOLDER.format(step="*")
        self._suspect_until = step
        if any(workdir.glob(pattern)):
            # It may go on from what the trouble has left.
            self._suspect_until = step + _KEPT_FOR

    def add(self, step: int, path: str) -> None:
        """Notes the checkpoint after so many steps, in good health so far."""
        is_close = (
            bool(self._candidates) and step - self._candidates[-1][0] < _SPACING
        )
        if is_close or step < self._suspect_until:
            return
        name = pathlib.Path(path).name
        self._folder.mkdir(exist_ok=True)
        snapshot.link(pathlib.Path(path), self._folder)
        self._candidates.append((step, name))
        # Of those that are old enough the last one is enough.
        while (
            len(self._candidates) > 1
            and step - self._candidates[1][0] >= _KEPT_FOR
        ):
            _, old = self._candidates.pop(0)
            for file in checkpoint_folder.files_of(self._folder / old):
                file.unlink(missing_ok=True)

    def keep(self, began: int) -> str:
        """Keeps the last checkpoint from before a step.

        Args:
            began: step at which a trouble may have begun.

        Returns:
            A sentence that says where it is, or that there is none.

        Raises:
            OSError: it cannot be written.
        """
        good = [each for each in self._candidates if each[0] <= began]
        if not good:
            kept = sorted(
                self._workdir.glob(FOLDER.format(step="*")),
                key=lambda path: path.stat().st_mtime,
            )
            if not kept:
                return (
                    "There is no checkpoint from before it: start anew in "
                    "another --workdir."
                )
            return f"Go on from before it with --workdir={kept[-1]}."
        step, name = good[-1]
        target = self._workdir / FOLDER.format(step=step)
        if not target.exists():
            snapshot.keep(self._workdir, self._folder / name, step, target)
        self._suspect_until = began + _KEPT_FOR
        return (
            f"The run as it was after step {step}, before this, is kept: go "
            f"on from there with --workdir={target}."
        )
