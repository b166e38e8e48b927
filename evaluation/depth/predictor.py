"""A trained depth model as a user sees it: any picture in, metres out."""

from __future__ import annotations

from collections.abc import Callable
import pathlib

import keras
import numpy as np
import tensorflow as tf

from evaluation.depth import config as depth_config
from mtssl_tf.formats import saved_model
from mtssl_tf.models import input_contract
from mtssl_tf.process import atomic_file
from mtssl_tf.process import paths

Predictor = Callable[[tf.Tensor], tf.Tensor]


def build_predictor(
    model: keras.Model,
    contract: input_contract.InputContract,
    config: depth_config.DepthConfig,
) -> Predictor:
    """Returns the function that is judged and exported.

    Pictures are brought to the size the model was trained for, and depth is
    up-sampled bilinearly to the picture's size.

    Returns:
        A `tf.function` from uint8 [B, H, W, 3] to float32 [B, H, W], metres.
    """

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, None, None, 3], tf.uint8, name="rgb")
        ],
        autograph=False,
    )
    def predict(rgb: tf.Tensor) -> tf.Tensor:
        size = tf.shape(rgb)[1:3]
        pictures = tf.image.resize(
            rgb, config.picture_size, tf.image.ResizeMethod.AREA
        )
        depth = model(contract.apply(pictures), training=False)
        depth = tf.image.resize(depth[..., None], size)  # bilinear
        return tf.maximum(depth[..., 0], config.min_depth_m)

    return predict


def export_predictor(
    model: keras.Model, predict: Predictor, folder: pathlib.Path
) -> None:
    """Writes a SavedModel and checks that it gives the same numbers.

    Args:
        model: whose weights it holds.
        predict: from `build_predictor`; becomes the signature `serve`.
        folder: written over.

    Raises:
        RuntimeError: what was written gives other depths.
    """
    # Not `keras.export.ExportArchive`: the order of its variables, and so
    # every file's bytes, is another one in every process.
    module = tf.Module()
    module.variables_ = [variable.value for variable in model.variables]
    module.serve = predict
    with atomic_file.new_folder(folder, replaces=True) as partial:
        saved_model.save_module(
            module, partial, {"serve": predict, "serving_default": predict}
        )
    rgb = np.random.default_rng(0).integers(0, 256, (1, 90, 130, 3), np.uint8)
    expected = predict(tf.constant(rgb)).numpy()
    with paths.without_pattern(folder) as plain:
        reloaded = tf.saved_model.load(plain)
    served = reloaded.serve(tf.constant(rgb)).numpy()
    difference = float(np.max(np.abs(served - expected)))
    if not difference <= 1e-4:
        raise RuntimeError(
            f"The SavedModel in {folder} differs from the model it was "
            f"written from by {difference} m. Do not use it."
        )
