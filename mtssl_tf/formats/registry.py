"""Export formats by name: what they need, how they are written and read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
import dataclasses
import importlib.util
import pathlib
from typing import TYPE_CHECKING

import numpy as np

from mtssl_tf.formats import keras_file
from mtssl_tf.formats import litert_file
from mtssl_tf.formats import onnx_file
from mtssl_tf.formats import saved_model

if TYPE_CHECKING:
    from mtssl_tf import pretrained

# uint8 [B, H, W, 3] RGB -> unit -> float32 [B, h, w, C].
Extract = Callable[[np.ndarray], Mapping[str, np.ndarray]]


@dataclasses.dataclass(frozen=True)
class Format:
    """One of the forms in which a trunk leaves.

    Attributes:
        path: of its file or folder within an export.
        write: writes a trunk to a path.
        load: reads it again, as whoever uses it would, in each way there is.
        extra: of mtssl_tf, with the packages that it needs.
        packages: those, by the names they are imported under.
    """

    path: str
    write: Callable[[pretrained.Pretrained, pathlib.Path], None]
    load: Callable[[pathlib.Path], tuple[Extract, ...]]
    extra: str = ""
    packages: tuple[str, ...] = ()


SAVED_MODEL = "savedmodel"
FORMATS = {
    SAVED_MODEL: Format(
        "saved_model", saved_model.save, saved_model.load_extract
    ),
    "keras": Format("trunk.keras", keras_file.save, keras_file.load_extract),
    "onnx": Format(
        "trunk.onnx",
        onnx_file.save,
        onnx_file.load_extract,
        "onnx",
        ("onnx", "tf2onnx", "onnxruntime"),
    ),
    "litert": Format(
        "trunk.tflite",
        litert_file.save,
        litert_file.load_extract,
        "litert",
        ("ai_edge_litert",),
    ),
}
DEFAULT = (SAVED_MODEL, "keras")


def check(names: Sequence[str]) -> None:
    """Checks that formats are known and what they need is installed.

    Raises:
        ValueError: names the format, or the extra.
    """
    if not names:
        raise ValueError(f"--format is empty. Known: {', '.join(FORMATS)}.")
    for name in names:
        if name not in FORMATS:
            raise ValueError(
                f"--format={name} is unknown. Known: {', '.join(FORMATS)}."
            )
        each = FORMATS[name]
        missing = [
            package
            for package in each.packages
            if importlib.util.find_spec(package) is None
        ]
        if missing:
            raise ValueError(
                f"--format={name} needs {', '.join(missing)}: pip install "
                f"'mtssl_tf[{each.extra}]'."
            )
