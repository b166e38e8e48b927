"""A SavedModel: TensorFlow runs it, and it needs none of our code."""

from __future__ import annotations

from collections.abc import Callable, Mapping
import pathlib
from typing import TYPE_CHECKING

import numpy as np

from mtssl_tf.lazy_imports import tf
from mtssl_tf.process import paths

if TYPE_CHECKING:
    from mtssl_tf import pretrained as pretrained_lib


def save(pretrained: pretrained_lib.Pretrained, folder: pathlib.Path) -> None:
    """Writes the trunk with a signature for each kind of picture."""

    def extract(image):
        rgb = tf.cast(image, tf.float32)
        return pretrained.trunk(pretrained.contract.apply(rgb), training=False)

    def spec(dtype):
        return tf.TensorSpec([None, None, None, 3], dtype, name="image")

    module = tf.Module()
    module.variables_ = [v.value for v in pretrained.trunk.variables]
    from_uint8 = tf.function(
        extract, input_signature=[spec(tf.uint8)], autograph=False
    )
    from_float = tf.function(
        extract, input_signature=[spec(tf.float32)], autograph=False
    )
    save_module(
        module,
        folder,
        {
            "serving_default": from_uint8,
            "uint8": from_uint8,
            "float": from_float,
        },
    )


def save_module(
    module: tf.Module, folder: pathlib.Path, signatures: Mapping[str, Callable]
) -> None:
    """Writes a SavedModel, whatever its folder is called.

    Args:
        module: to save.
        folder: not there yet, or empty; what it is in is there.
        signatures: functions of `module` by name.
    """
    with paths.without_pattern(folder.parent) as plain:
        tf.saved_model.save(module, f"{plain}/{folder.name}", signatures)


def load_extract(
    folder: pathlib.Path,
) -> tuple[Callable[[np.ndarray], Mapping[str, np.ndarray]], ...]:
    """Returns pictures -> units, by each of the two signatures."""
    with paths.without_pattern(folder) as plain:
        reloaded = tf.saved_model.load(plain)

    def by(signature: str, dtype: tf.DType):
        def extract(image: np.ndarray) -> dict[str, np.ndarray]:
            units = reloaded.signatures[signature](image=tf.cast(image, dtype))
            return {name: unit.numpy() for name, unit in units.items()}

        return extract

    return by("uint8", tf.uint8), by("float", tf.float32)
