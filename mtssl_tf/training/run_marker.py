"""A file that is in a run directory while a process trains it.

One that is still there at the next start is of a process that had no chance
to say why it ended. The kernel's own count tells whether memory was short.
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import resource
from typing import Any

from mtssl_tf import config as config_lib
from mtssl_tf.files import json_file
from mtssl_tf.process import atomic_file
from mtssl_tf.training import out_of_memory

FILE = "running.json"
_BOOT_FILE = pathlib.Path("/proc/sys/kernel/random/boot_id")
_COUNTS_FILE = pathlib.Path("/proc/vmstat")
_MEMORY_FILE = pathlib.Path("/proc/meminfo")


class RunMarker:
    """Marks a run directory from now until `remove`."""

    def __init__(
        self, workdir: pathlib.Path, config: config_lib.RunConfig
    ) -> None:
        """Reads what an earlier process left, and marks the directory."""
        self._path = workdir / FILE
        self._config = config
        self._boot = _read(_BOOT_FILE).strip()
        self._kills = _number(_COUNTS_FILE, "oom_kill")
        self._before = self._load()
        self.update()

    def explain_last_end(self) -> str | None:
        """Returns why the last start ended for want of memory, if it did."""
        before = self._before
        if before is None or self._kills is None:
            return None
        kills = before.get("kills")
        if before.get("boot") != self._boot or not isinstance(kills, int):
            return None  # the machine has started anew, or is another one
        if self._kills <= kills:
            return None
        batches = ", ".join(
            f"{name} {task.batch_size}"
            for name, task in self._config.tasks.items()
        )
        return (
            f"The last start of this run (process {before.get('pid')}) was "
            "ended from outside, and since it began the kernel has ended "
            f"{self._kills - kills} process(es) of this machine for want of "
            f"memory: most likely this one. It had used "
            f"{before.get('used_mb')} MB of {before.get('total_mb')} MB when "
            f"it last saved, with batches of {batches}. "
            f"{out_of_memory.remedy(self._config, list(self._config.tasks))}"
        )

    def update(self) -> None:
        """Notes how much memory this process has used."""
        total_kb = _number(_MEMORY_FILE, "MemTotal:")
        used_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        marks = {
            "pid": os.getpid(),
            "boot": self._boot,
            "kills": self._kills,
            "used_mb": used_kb // 1024,
            "total_mb": None if total_kb is None else total_kb // 1024,
        }
        with contextlib.suppress(OSError):  # it only explains
            atomic_file.write_text(self._path, json.dumps(marks) + "\n")

    def remove(self) -> None:
        """Says that this process ends by itself."""
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)

    def _load(self) -> dict[str, Any] | None:
        try:
            marks = json_file.load(self._path)
        except (OSError, ValueError):
            return None
        return marks if isinstance(marks, dict) else None


def _read(path: pathlib.Path) -> str:
    """Returns a file's text; nothing on a system without it."""
    try:
        return path.read_text()
    except OSError:
        return ""


def _number(path: pathlib.Path, name: str) -> int | None:
    """Returns the number after a name at a line's start."""
    for line in _read(path).splitlines():
        words = line.split()
        if len(words) > 1 and words[0] == name and words[1].isdigit():
            return int(words[1])
    return None
