"""tensorflow-addons as a second opinion on the exemplar warps.

It is at its end of life and imports only beside Keras 2, with two of Keras's
modules under names it looks for: hence a process of its own.
"""

import importlib.util
import subprocess
import sys

import numpy as np
import pytest

from mtssl_tf.data import distort

_CODE = """
import os, sys, types
os.environ["TF_USE_LEGACY_KERAS"] = "1"
import numpy as np
import tensorflow as tf
import tf_keras.src.engine.keras_tensor as keras_tensor
import keras.src
parent = types.ModuleType("keras.src.engine")
parent.keras_tensor = keras_tensor
sys.modules["keras.src.engine"] = parent
sys.modules["keras.src.engine.keras_tensor"] = keras_tensor
import tensorflow_addons as tfa
image, angle = np.load(sys.argv[1]), float(sys.argv[2])
rotated = tfa.image.rotate(
    image, angle, interpolation="bilinear", fill_mode="reflect"
)
np.save(sys.argv[3], rotated.numpy())
"""


def test_rotations_equal_those_of_addons(tmp_path):
    if importlib.util.find_spec("tensorflow_addons") is None:
        pytest.skip(
            "tensorflow-addons is not installed: pip install -e '.[addons]', "
            "on Python 3.11"
        )
    random = np.random.default_rng(0)
    image = random.uniform(0, 255, (21, 21, 3)).astype(np.float32)
    np.save(tmp_path / "image.npy", image)
    for angle in (0.3, -0.2):
        subprocess.run(
            [
                sys.executable,
                "-c",
                _CODE,
                tmp_path / "image.npy",
                str(angle),
                tmp_path / "out.npy",
            ],
            check=True,
        )
        # Addons turn the picture, we turn the grid that samples it.
        transform = distort.patch_transform(
            np.float32([10, 10]), 21, np.float32(1), np.float32(angle)
        )
        ours = distort.warp(image, transform[None], 21, 21)[0]
        np.testing.assert_allclose(
            # Places are rounded to 1/32 of a pixel; the picture is noise.
            ours,
            np.load(tmp_path / "out.npy"),
            atol=255 / 32,
        )
