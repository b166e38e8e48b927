"""The seven measures of depth prediction, after Eigen et al. 2014.

All are pooled over the known pixels of every picture, as in the published
evaluations: a picture with more missing depth weighs less.
"""

from __future__ import annotations

import numpy as np

THRESHOLDS = {"delta1": 1.25, "delta2": 1.25**2, "delta3": 1.25**3}
METRICS = (*THRESHOLDS, "rel", "rms", "log10", "rms_log")
HIGHER_IS_BETTER = tuple(THRESHOLDS)

# Eigen's crop of a 480 x 640 picture, 0-based and half open. It leaves out
# the frame in which registered Kinect depth is mostly missing.
EIGEN_PICTURE = (480, 640)
EIGEN_ROWS = (45, 471)
EIGEN_COLUMNS = (41, 601)


class DepthMetrics:
    """Accumulates depth errors picture by picture.

    Example:
        metrics = DepthMetrics()
        metrics.update(prediction, target)  # both float [H, W], metres
        metrics.result()["rms"]
    """

    def __init__(self) -> None:
        self.num_pixels = 0
        self._sums = dict.fromkeys(METRICS, 0.0)

    def update(self, prediction: np.ndarray, target: np.ndarray) -> None:
        """Adds one picture, or a batch of them.

        Args:
            prediction: float [..., H, W], metres, above 0.
            target: float [..., H, W], metres; 0 or NaN where missing.

        Raises:
            ValueError: shapes differ, or a prediction that counts is not a
                positive number.
        """
        if prediction.shape != target.shape:
            raise ValueError(
                "Prediction and target must have one shape. Got "
                f"{prediction.shape} and {target.shape}."
            )
        is_known = target > 0
        predicted = prediction[is_known].astype(np.float64)
        true = target[is_known].astype(np.float64)
        if not np.all(np.isfinite(predicted) & (predicted > 0)):
            raise ValueError(
                "Predicted depth must be finite and above 0 m, since the "
                "measures take its ratio and logarithm. The smallest is "
                f"{predicted.min()}."
            )
        self.num_pixels += true.size
        for name, error in _pixel_errors(predicted, true).items():
            self._sums[name] += float(error.sum())

    def result(self) -> dict[str, float]:
        """Returns delta1 to delta3 in percent, rel, rms (m), log10, rms_log.

        Raises:
            ValueError: no pixel with known depth was seen.
        """
        if not self.num_pixels:
            raise ValueError(
                "No pixel with known depth was seen, so depth errors have no "
                "value. Check the depth files of the test split."
            )
        means = {k: v / self.num_pixels for k, v in self._sums.items()}
        for name in THRESHOLDS:
            means[name] *= 100.0
        for name in ("rms", "rms_log"):
            means[name] = means[name] ** 0.5
        return means


def _pixel_errors(
    predicted: np.ndarray, true: np.ndarray
) -> dict[str, np.ndarray]:
    """Each measure's summand, [num_pixels]; `rms` ones still squared."""
    log_error = np.log(predicted) - np.log(true)
    # max(p/t, t/p) < threshold, in logarithms.
    errors = {
        name: np.abs(log_error) < np.log(threshold)
        for name, threshold in THRESHOLDS.items()
    }
    errors["rel"] = np.abs(predicted - true) / true
    errors["rms"] = np.square(predicted - true)
    errors["log10"] = np.abs(log_error) / np.log(10.0)
    errors["rms_log"] = np.square(log_error)
    return errors


def eigen_crop(height: int, width: int) -> tuple[slice, slice]:
    """Returns the rows and columns of Eigen's crop.

    It is defined at 480 x 640; at another size the same share is taken.
    """
    scales = (height / EIGEN_PICTURE[0], width / EIGEN_PICTURE[1])
    spans = (EIGEN_ROWS, EIGEN_COLUMNS)
    rows, columns = (
        slice(round(low * scale), round(high * scale))
        for (low, high), scale in zip(spans, scales)
    )
    return rows, columns
