"""Multinomial logistic regression on cached features, in seconds.

The objective is scikit-learn's with C = 1 / (l2 * n): mean cross-entropy
plus l2 / 2 times the squared weights, the bias not penalised. Features are
standardised first, which a linear layer absorbs.
"""

from __future__ import annotations

import dataclasses

import numpy as np

L2 = 0.03  # ours: docs/imagenet_linear.md
_MIN_STD = 1e-6  # of a feature that never changes, which then says nothing


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
    """Fits by L-BFGS.

    Args:
        features: float32 [n, D].
        classes: int [n] in [0, K).
        num_classes: K.
        l2: weight of the penalty, above 0.
        max_iterations: of L-BFGS; more than enough at the default penalty.

    Raises:
        ValueError: a feature is not finite, or `l2` is not above 0.
    """
    if not l2 > 0:
        raise ValueError(
            f"l2 must be above 0, got {l2}: without a penalty separable "
            "features have no best classifier."
        )
    # Slow to import, and flags that are checked against L2 must answer fast.
    from scipy import optimize
    from scipy import special

    features = np.asarray(features, np.float32)
    if not np.isfinite(features).all():
        raise ValueError(
            "Features must be finite; "
            f"{np.count_nonzero(~np.isfinite(features))} of {features.size} "
            "are not. The trunk has diverged."
        )
    mean = features.mean(axis=0)
    std = np.maximum(features.std(axis=0), _MIN_STD)
    standardised = (features - mean) / std
    num_features = features.shape[1]
    is_class = np.eye(num_classes, dtype=np.float32)[classes]  # [n, K]

    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        table = flat.reshape(num_features + 1, num_classes)
        weights, bias = table[:-1].astype(np.float32), table[-1]
        logits = standardised @ weights + bias
        log_probabilities = special.log_softmax(logits, axis=1)
        loss = -np.mean(np.sum(log_probabilities * is_class, axis=1))
        loss += 0.5 * l2 * np.sum(np.square(table[:-1]))
        error = (np.exp(log_probabilities) - is_class) / len(features)
        gradient = np.empty_like(table)
        gradient[:-1] = standardised.T @ error.astype(np.float32)
        gradient[:-1] += l2 * table[:-1]
        gradient[-1] = error.sum(axis=0)
        return float(loss), gradient.ravel()

    best = optimize.minimize(
        objective,
        np.zeros((num_features + 1) * num_classes),
        jac=True,
        method="L-BFGS-B",
        # float32 products carry no more than this.
        options={"maxiter": max_iterations, "ftol": 1e-7, "gtol": 1e-5},
    )
    table = best.x.reshape(num_features + 1, num_classes).astype(np.float32)
    return SoftmaxRegression(mean, std, table[:-1], table[-1])
