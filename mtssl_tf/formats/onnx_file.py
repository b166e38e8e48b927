"""ONNX: runs in ONNX Runtime, and in PyTorch by way of a converter."""

from __future__ import annotations

from collections.abc import Callable, Mapping
import pathlib
from typing import TYPE_CHECKING

import numpy as np

from mtssl_tf.lazy_imports import tf

if TYPE_CHECKING:
    from mtssl_tf import pretrained as pretrained_lib

INPUT = "image"
_OPSET = 17  # ours: ONNX Runtime 1.12 (2022) and later read it
_DIMENSIONS = ("batch", "height", "width")


def save(pretrained: pretrained_lib.Pretrained, path: pathlib.Path) -> None:
    """Writes float32 'image' [batch, height, width, 3] -> units by name."""
    import onnx
    import tf2onnx

    spec = tf.TensorSpec([None, None, None, 3], tf.float32, name=INPUT)

    # Not by Keras's `export`: of a model with Normalization that makes an ONNX
    # file which asks for the means as further inputs.
    @tf.function(input_signature=[spec], autograph=False)
    def extract(image):
        return pretrained.trunk(
            pretrained.contract.apply(image), training=False
        )

    graph, _ = tf2onnx.convert.from_function(extract, [spec], opset=_OPSET)
    # Unnamed, dimensions are unk__316 and the like.
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
