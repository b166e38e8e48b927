"""Multinomial logistic regression on cached features, in seconds.

Scikit-learn's, with one objective for any number of classes: mean
cross-entropy plus l2 / 2 times the squared weights, the bias not penalised.
Features are standardised first, which a linear layer absorbs.
"""

from __future__ import annotations

import dataclasses
import warnings

import numpy as np

L2 = 0.03  # ours: docs/imagenet_linear.md
_MIN_STD = 1e-6  # of a feature that never changes, which then says nothing
_ABSENT_BELOW = 10.0  # ours: nats from the rarest class to one never seen


@dataclasses.dataclass(frozen=True)
class SoftmaxRegression:
    """A fitted linear classifier.

    Attributes:
        mean: float32 [D], subtracted from features.
        std: float32 [D], features are then divided by it.
        weights: float32 [D, K].
        bias: float32 [K].
    """

    mean: np.ndarray
    std: np.ndarray
    weights: np.ndarray
    bias: np.ndarray

    def logits(self, features: np.ndarray) -> np.ndarray:
        """Scores every class: float32 [n, D] to float32 [n, K]."""
        return (features - self.mean) / self.std @ self.weights + self.bias


def fit_softmax_regression(
    features: np.ndarray,
    classes: np.ndarray,
    num_classes: int,
    l2: float = L2,
    max_iterations: int = 200,
) -> SoftmaxRegression:
    """Fits by L-BFGS, and takes what it has after `max_iterations`.

    Args:
        features: float32 [n, D].
        classes: int [n] in [0, K).
        num_classes: K.
        l2: weight of the penalty, above 0.
        max_iterations: of L-BFGS; 90 to 180 are enough at the default penalty.

    Raises:
        ValueError: a feature is not finite, or `l2` is not above 0.
    """
    if not l2 > 0:
        raise ValueError(
            f"l2 must be above 0, got {l2}: without a penalty separable "
            "features have no best classifier."
        )
    features = np.asarray(features, np.float32)
    if not np.isfinite(features).all():
        raise ValueError(
            "Features must be finite; "
            f"{np.count_nonzero(~np.isfinite(features))} of {features.size} "
            "are not. The trunk has diverged."
        )
    mean = features.mean(axis=0)
    std = np.maximum(features.std(axis=0), _MIN_STD)
    present = np.unique(classes)
    found = _fit_present(
        (features - mean) / std, classes, len(present), l2, max_iterations
    )
    weights = np.zeros((features.shape[1], num_classes), np.float32)
    bias = np.full(num_classes, found[1].min() - _ABSENT_BELOW, np.float32)
    weights[:, present], bias[present] = found
    return SoftmaxRegression(mean, std, weights, bias)


def _fit_present(
    standardised: np.ndarray,
    classes: np.ndarray,
    num_present: int,
    l2: float,
    max_iterations: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Returns weights [D, P] and bias [P] of the P classes that there are."""
    # Slow to import, and flags that are checked against L2 must answer fast.
    from sklearn import exceptions
    from sklearn import linear_model

    if num_present == 1:
        return np.zeros((standardised.shape[1], 1)), np.zeros(1)
    # Of two classes scikit-learn fits the difference alone; as two vectors,
    # each half of it, it is penalised half as much.
    strength = l2 / 2 if num_present == 2 else l2
    fitted = linear_model.LogisticRegression(
        C=1.0 / (strength * len(standardised)), max_iter=max_iterations
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", exceptions.ConvergenceWarning)
        fitted.fit(standardised, classes)
    weights, bias = fitted.coef_.T, fitted.intercept_
    if num_present == 2:
        weights = np.concatenate([-weights, weights], axis=1) / 2
        bias = np.concatenate([-bias, bias]) / 2
    return weights, bias
