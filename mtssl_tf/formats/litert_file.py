"""LiteRT, which was TensorFlow Lite: phones and small boards."""

from __future__ import annotations

from collections.abc import Callable, Mapping
import pathlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from mtssl_tf import pretrained as pretrained_lib


def save(pretrained: pretrained_lib.Pretrained, path: pathlib.Path) -> None:
    """Writes one signature: float32 [B, H, W, 3] -> units by name."""
    from mtssl_tf.models import rgb_trunk

    model = rgb_trunk.build_rgb_trunk(pretrained.trunk, pretrained.contract)
    model.export(str(path), format="litert", verbose=False)


def load_extract(
    path: pathlib.Path,
) -> tuple[Callable[[np.ndarray], Mapping[str, np.ndarray]]]:
    """Returns pictures -> units, by LiteRT's interpreter."""
    from ai_edge_litert import interpreter

    runner = interpreter.Interpreter(
        model_content=path.read_bytes()
    ).get_signature_runner()
    (name,) = runner.get_input_details()

    def extract(image: np.ndarray) -> Mapping[str, np.ndarray]:
        return runner(**{name: image.astype(np.float32)})

    return (extract,)
