"""What a run has cost, as the paper counts it (appendix, Fig. 3).

Wall time on shared machines says little, so the paper multiplies each task's
steps by a constant: its seconds per step, measured once when nothing else
runs. A snapshot is due whenever the sum over tasks crosses a threshold.
"""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses
import json
import pathlib

from mtssl_tf.files import json_file
from mtssl_tf.process import atomic_file
from mtssl_tf.training import snapshot

SECONDS_FILE = "seconds_per_step.json"
SNAPSHOTS_FOLDER = "snapshots"
_SECONDS_PER_HOUR = 3600.0


@dataclasses.dataclass(frozen=True)
class GpuHours:
    """The price of a step of each task.

    Attributes:
        seconds: task -> seconds of one of its steps.
        num_gpus: task -> GPUs that work on it.
    """

    seconds: Mapping[str, float]
    num_gpus: Mapping[str, int]

    def of(self, steps: Mapping[str, int]) -> float:
        """Returns the GPU hours of these steps of each task."""
        return (
            sum(
                count * self.seconds[task] * self.num_gpus[task]
                for task, count in steps.items()
            )
            / _SECONDS_PER_HOUR
        )

    def crosses(
        self,
        before: Mapping[str, int],
        after: Mapping[str, int],
        every: float,
    ) -> bool:
        """Returns whether a multiple of `every` hours lies in between."""
        return self.of(after) // every > self.of(before) // every


def save_seconds(workdir: pathlib.Path, seconds: Mapping[str, float]) -> None:
    """Keeps what a calibration measured."""
    text = json.dumps(dict(seconds), indent=2) + "\n"
    atomic_file.write_text(workdir / SECONDS_FILE, text)


def load_seconds(
    workdir: pathlib.Path, tasks: Mapping[str, object]
) -> dict[str, float]:
    """Returns the seconds per step of these tasks.

    Raises:
        ValueError: they have not been measured.
    """
    path = workdir / SECONDS_FILE
    stored = {}
    if path.exists():
        stored = json_file.load_object(path, "Measure again by --calibrate.")
    missing = sorted(set(tasks) - set(stored))
    if missing:
        raise ValueError(
            f"{path} has no seconds per step of {', '.join(missing)}, which "
            "GPU hours are counted with. Run the same command with "
            "--calibrate first, while nothing else runs."
        )
    return {task: float(stored[task]) for task in tasks}


def snapshot_folder(
    workdir: pathlib.Path, hours: float, step: int
) -> pathlib.Path:
    """Makes a run directory for a snapshot, named by its cost.

    It holds what is needed to evaluate and export it, beside its checkpoint.

    Args:
        workdir: the run directory.
        hours: of GPUs.
        step: that it is of.
    """
    folder = workdir / SNAPSHOTS_FOLDER / f"gpu_hours_{hours:012.4f}"
    snapshot.copy_identity(workdir, folder, step)
    return folder
