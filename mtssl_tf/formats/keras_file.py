"""Keras's own format: to fine-tune, and what `load_trunk` reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
import pathlib
from typing import TYPE_CHECKING

import numpy as np

from mtssl_tf.lazy_imports import keras

if TYPE_CHECKING:
    from mtssl_tf import pretrained as pretrained_lib


def save(pretrained: pretrained_lib.Pretrained, path: pathlib.Path) -> None:
    """Writes the trunk behind its input contract, and block 4 beside it."""
    from mtssl_tf import pretrained as pretrained_lib
    from mtssl_tf.models import rgb_trunk

    rgb_trunk.build_rgb_trunk(pretrained.trunk, pretrained.contract).save(path)
    if pretrained.block4 is not None:
        pretrained.block4.save(path.with_name(pretrained_lib.BLOCK4_FILE))


def load_extract(
    path: pathlib.Path,
) -> tuple[Callable[[np.ndarray], Mapping[str, np.ndarray]]]:
    """Returns pictures -> units."""
    model = keras.saving.load_model(path)

    def extract(image: np.ndarray) -> dict[str, np.ndarray]:
        return {
            name: keras.ops.convert_to_numpy(unit)
            for name, unit in model(image, training=False).items()
        }

    return (extract,)
