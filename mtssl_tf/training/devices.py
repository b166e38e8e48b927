"""What a run computes on, in words, and a GPU that is there in vain."""

from __future__ import annotations

import pathlib

from mtssl_tf.lazy_imports import tf
from mtssl_tf.process import cores
from mtssl_tf.process import gpus as gpus_lib


def describe() -> str:
    """Returns such as '2 GPUs (NVIDIA H100)' or '8 CPU cores, no GPU'."""
    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        return f"{cores.count()} CPU cores, no GPU"
    names = {
        tf.config.experimental.get_device_details(gpu).get("device_name", "?")
        for gpu in gpus
    }
    plural = "s" if len(gpus) > 1 else ""
    return f"{len(gpus)} GPU{plural} ({', '.join(sorted(names))})"


def unused_gpu(driver: pathlib.Path = gpus_lib.DRIVER) -> str:
    """Returns '' or, where a GPU's driver is loaded and TensorFlow finds no
    GPU, that and what to do.

    Args:
        driver: a folder that is there where the driver is.
    """
    if not gpus_lib.names(driver):
        return ""
    if tf.config.list_physical_devices("GPU"):
        return ""
    return (
        "This machine has an NVIDIA driver, but TensorFlow finds no GPU and "
        "computes on the CPU. Install its libraries: pip install "
        "'tensorflow[and-cuda]>=2.20,<2.21'. If that is done, run again with "
        "TF_CPP_MIN_LOG_LEVEL=0, and TensorFlow says why."
    )
