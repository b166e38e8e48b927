"""Settings of other packages that every command runs with.

Keras and tf_keras read theirs when they are imported, from the environment
and from a file in the user's home. What they find there decides how layers
read their input and what type they compute in. Matplotlib, tqdm and OpenCV
have such settings, too.
"""

from __future__ import annotations

import importlib.resources
import json
import os
import sys
import types

from mtssl_tf.process import chatter

# Holds `keras.json`, which both read; they write one where there is none.
_HOME = importlib.resources.files(__package__) / "keras_home"
_POLICY = "float32"  # has no place in that file
# Pictures are drawn without a screen, and not as a user's file has it.
_OF_MATPLOTLIB = {"MPLBACKEND": "agg", "MATPLOTLIBRC": os.devnull}
# What these begin with is taken away. tqdm's import fails at a setting that is
# none, and others hide the progress line; OpenCV's choose how video is decoded,
# and bound pictures that are bounded here.
_OF_OTHERS = (
    "TQDM_",
    "OPENCV_FFMPEG_CAPTURE_OPTIONS",
    "OPENCV_IO_MAX_",
    "OPENCV_VIDEOIO_",
)


def fix() -> None:
    """Fixes them for this process and its children; for commands only.

    Call it before anything imports Keras. Code below a command, and code
    that uses this package as a library, must neither call nor need it.

    Raises:
        ValueError: Keras or tf_keras is imported already, with others.
    """
    _check_imported("keras")
    _check_imported("tf_keras")
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ["KERAS_HOME"] = str(_HOME)
    os.environ["TF_USE_LEGACY_KERAS"] = "0"
    os.environ.update(_OF_MATPLOTLIB)
    for name in [name for name in os.environ if name.startswith(_OF_OTHERS)]:
        del os.environ[name]
    chatter.silence()


def _check_imported(name: str) -> None:
    module = sys.modules.get(name)
    if module is None:
        return
    found = _read(module)
    needed = json.loads((_HOME / "keras.json").read_text())
    wrong = [
        f"{key}={found[key]!r} where {value!r} is needed"
        for key, value in {**needed, "dtype policy": _POLICY}.items()
        if found[key] != value
    ]
    if wrong:
        raise ValueError(
            f"{name} is imported already, with {'; '.join(wrong)}. Start the "
            "command in a process of its own."
        )


def _read(module: types.ModuleType) -> dict[str, str | float]:
    """Returns what Keras or tf_keras goes by, under the names above."""
    backend = module.backend
    if hasattr(module, "config"):  # Keras 3
        policy = module.config.dtype_policy().name
    else:
        policy = module.mixed_precision.global_policy().name
    return {
        "backend": getattr(backend, "backend", lambda: "tensorflow")(),
        "image_data_format": backend.image_data_format(),
        "floatx": backend.floatx(),
        "epsilon": backend.epsilon(),
        "dtype policy": policy,
    }
