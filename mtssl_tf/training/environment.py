"""What a run is trained with: `environment.json` in its directory.

Versions, commit and hardware decide whether a number can be had again. A run
that goes on with others keeps what it had before. Nothing names the host or
who uses it.
"""

from __future__ import annotations

import importlib.metadata
import json
import pathlib
import platform
from typing import Any

from absl import logging

from mtssl_tf import version
from mtssl_tf.files import json_file
from mtssl_tf.lazy_imports import tf
from mtssl_tf.process import atomic_file
from mtssl_tf.process import checkout
from mtssl_tf.process import cores

FILE = "environment.json"
_HISTORY = "history"
_MAX_HISTORY = 100  # ours: environments that are kept
_NUM_SHOWN = 8  # ours: changes that the log names
_CPU_FILE = pathlib.Path("/proc/cpuinfo")
_MEMORY_FILE = pathlib.Path("/proc/meminfo")
_DRIVER_FILE = pathlib.Path("/proc/driver/nvidia/version")


def record(workdir: pathlib.Path) -> None:
    """Writes down what this start is trained with.

    Args:
        workdir: run directory.

    Raises:
        OSError: it cannot be written.
        ValueError: what is there is damaged.
    """
    path = workdir / FILE
    now = describe()
    history: list[dict[str, Any]] = []
    if path.exists():
        remedy = "Remove it: it is written again, without its history."
        before = json_file.load_object(path, remedy)
        with json_file.naming(path, remedy):
            history = list(before.pop(_HISTORY, []))
            if before == now:
                return
            _log_changes(before, now)
        history.append(before)
    entries = {**now, _HISTORY: history[-_MAX_HISTORY:]}
    atomic_file.write_text(path, json.dumps(entries, indent=2) + "\n")


def describe() -> dict[str, Any]:
    """Returns packages, commit and hardware of this process."""
    build = tf.sysconfig.get_build_info()
    return {
        "mtssl_tf": version.VERSION,
        "commit": checkout.commit(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
        "cpu": _after_colon(_CPU_FILE, "model name") or platform.machine(),
        "num_cpus": cores.count(),
        "memory": _after_colon(_MEMORY_FILE, "MemTotal"),
        "gpus": _gpus(),
        "driver": _first_line(_DRIVER_FILE),
        "cuda": build.get("cuda_version"),
        "cudnn": build.get("cudnn_version"),
        "packages": _packages(),
    }


def _packages() -> dict[str, str]:
    found = {
        each.metadata["Name"]: each.version
        for each in importlib.metadata.distributions()
        if each.metadata["Name"]  # of a broken one it is None
    }
    return dict(sorted(found.items(), key=lambda item: item[0].lower()))


def _gpus() -> list[str]:
    """Returns the names of the GPUs that TensorFlow can use."""
    return [
        tf.config.experimental.get_device_details(gpu).get("device_name", "?")
        for gpu in tf.config.list_physical_devices("GPU")
    ]


def _after_colon(path: pathlib.Path, name: str) -> str | None:
    """Returns the value of the first line 'name : value', if there is one."""
    try:
        text = path.read_text(errors="replace")
    except OSError:
        return None  # a system without it
    for line in text.splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return None


def _first_line(path: pathlib.Path) -> str | None:
    try:
        return path.read_text(errors="replace").splitlines()[0]
    except (OSError, IndexError):
        return None


def _log_changes(before: dict[str, Any], now: dict[str, Any]) -> None:
    flat_before = {**before, **before.get("packages", {})}
    flat_now = {**now, **now["packages"]}
    changes = [
        f"{name} {flat_before.get(name)} -> {flat_now.get(name)}"
        for name in sorted(flat_before.keys() | flat_now.keys())
        if name != "packages" and flat_before.get(name) != flat_now.get(name)
    ]
    more = len(changes) - _NUM_SHOWN
    logging.warning(
        "The run goes on with another environment than before, and may not go "
        "on to the bit: %s%s. %s keeps both.",
        "; ".join(changes[:_NUM_SHOWN]),
        f"; and {more} more" if more > 0 else "",
        FILE,
    )
