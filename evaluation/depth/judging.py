"""Judges depth predictions on test pairs, beside a blind guess."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from evaluation.depth import metrics
from evaluation.depth import pairs as pairs_lib
from evaluation.depth import predictor

_MAX_FOR_MEAN = 500  # training pairs that the mean depth is taken of


class CroppedMetrics:
    """Depth errors over whole pictures and over Eigen's crop of them."""

    def __init__(self) -> None:
        self._whole = metrics.DepthMetrics()
        self._cropped = metrics.DepthMetrics()

    def update(self, prediction: np.ndarray, target: np.ndarray) -> None:
        """Adds a picture; arguments as in `DepthMetrics.update`."""
        self._whole.update(prediction, target)
        crop = metrics.eigen_crop(*target.shape)
        self._cropped.update(prediction[crop], target[crop])

    def result(self) -> dict[str, Any]:
        """Measures by name, and those of the crop under `eigen_crop`."""
        return {**self._whole.result(), "eigen_crop": self._cropped.result()}


def mean_depth(pairs: pairs_lib.DepthPairs) -> float:
    """Returns the mean of the known depth, metres.

    Args:
        pairs: of which at most 500, evenly spaced, are read.
    """
    total, count = 0.0, 0
    for pair in pairs_lib.evenly_spaced(pairs, _MAX_FOR_MEAN):
        known = pair.depth_m[pair.depth_m > 0]
        total += float(known.sum(dtype=np.float64))
        count += known.size
    return total / count


def judge(
    predict: predictor.Predictor,
    pairs: pairs_lib.DepthPairs,
    mean_depth_m: float,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Measures a model, and the constant guess of the training mean.

    Args:
        predict: from `build_predictor`.
        pairs: to test on.
        mean_depth_m: the guess.

    Returns:
        The model's measures and the guess's.
    """
    model, guess = CroppedMetrics(), CroppedMetrics()
    for index in range(len(pairs)):
        pair = pairs[index]
        prediction = predict(tf.constant(pair.rgb[None]))[0].numpy()
        model.update(prediction, pair.depth_m)
        guess.update(np.full_like(pair.depth_m, mean_depth_m), pair.depth_m)
    return model.result(), guess.result()
