"""ONNX: runs in ONNX Runtime, and in PyTorch by way of a converter."""

from __future__ import annotations

from collections.abc import Callable, Mapping
import pathlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from mtssl_tf import pretrained as pretrained_lib

INPUT = "image"
_DIMENSIONS = ("batch", "height", "width")


def save(pretrained: pretrained_lib.Pretrained, path: pathlib.Path) -> None:
    """Writes float32 'image' [batch, height, width, 3] -> units by name."""
    import onnx

    from mtssl_tf.models import rgb_trunk

    model = rgb_trunk.build_rgb_trunk(pretrained.trunk, pretrained.contract)
    model.export(str(path), format="onnx", verbose=False)
    # Unnamed, dimensions are unk__316 and the like.
    graph = onnx.load(str(path))
    _name_dimensions(graph.graph.input[0], "")
    for output in graph.graph.output:
        _name_dimensions(output, f"{output.name}_")
    onnx.save(graph, str(path))


def _name_dimensions(value, prefix: str) -> None:
    dimensions = value.type.tensor_type.shape.dim
    for number, name in enumerate(_DIMENSIONS):
        dimensions[number].dim_param = f"{prefix}{name}" if number else name


def load_extract(
    path: pathlib.Path,
) -> tuple[Callable[[np.ndarray], Mapping[str, np.ndarray]]]:
    """Returns pictures -> units, by ONNX Runtime on the CPU."""
    import onnxruntime

    session = onnxruntime.InferenceSession(
        path.read_bytes(), providers=["CPUExecutionProvider"]
    )
    names = [output.name for output in session.get_outputs()]

    def extract(image: np.ndarray) -> dict[str, np.ndarray]:
        units = session.run(names, {INPUT: image.astype(np.float32)})
        return dict(zip(names, units, strict=True))

    return (extract,)
