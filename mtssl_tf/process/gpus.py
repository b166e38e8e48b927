"""Which NVIDIA GPUs there are for this process, without TensorFlow's help."""

from __future__ import annotations

import os
import pathlib

VISIBLE = "CUDA_VISIBLE_DEVICES"

DRIVER = pathlib.Path("/proc/driver/nvidia")


def names(driver: pathlib.Path = DRIVER) -> list[str]:
    """Returns the GPUs as `CUDA_VISIBLE_DEVICES` names them.

    Args:
        driver: a folder that is there where NVIDIA's driver is loaded, with
            one in `gpus` for each GPU.
    """
    if not driver.exists():
        return []
    visible = os.environ.get(VISIBLE)
    if visible is None:
        # The driver is loaded for one at least; some containers show none.
        count = max(1, len(list(driver.glob("gpus/*"))))
        return [str(number) for number in range(count)]
    found = []
    for name in visible.split(","):
        if name.strip() in ("", "-1"):  # CUDA reads no further
            break
        found.append(name.strip())
    return found
