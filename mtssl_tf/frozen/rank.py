"""What vectors tell of a trunk without a label: rank and collapse.

RankMe (Garrido et al., ICML 2023, eq. 1) is the effective rank of the matrix
of vectors: how many directions they really use. A trunk that says the same of
every picture has a rank near 1, and neither more than there are vectors nor
than there are numbers in one.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np

EVENT = "rank"  # split of its lines in a run's `metrics.jsonl`
MAX_VECTORS = 2048  # ours: two for each channel of the paper's trunk
_EPSILON = 1e-7  # paper, sec. 3.2: for float32


@dataclasses.dataclass(frozen=True)
class RankFigures:
    """Of N vectors of K numbers.

    Attributes:
        rankme: effective rank, from about 1 to `most`.
        most: min(N, K), which `rankme` cannot exceed.
        spread: standard deviation over vectors of unit length, the mean over
            channels, times sqrt(K): 0 where all vectors are alike, about 1
            where they point everywhere (Chen and He 2021, sec. 4.1).
        mean_cosine: of all pairs: 1 where all vectors are alike, or there is
            one.
        pictures: N.
    """

    rankme: float
    most: int
    spread: float
    mean_cosine: float
    pictures: int

    def entries(self) -> dict[str, float | None]:
        """Returns the figures as JSON has them: null for what is no number."""
        values: dict[str, float] = dataclasses.asdict(self)
        return {k: v if math.isfinite(v) else None for k, v in values.items()}

    def __str__(self) -> str:
        return (
            f"effective rank (RankMe) {self.rankme:.1f} of at most "
            f"{self.most}, spread {self.spread:.3f}, mean cosine "
            f"{self.mean_cosine:.3f}, of {self.pictures} pictures"
        )


def measure(vectors: np.ndarray) -> RankFigures:
    """Measures vectors as they are, neither centred nor scaled.

    Args:
        vectors: float [N, K], at least one.
    """
    vectors = np.asarray(vectors, np.float64)
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    units = vectors / np.maximum(norms, np.finfo(np.float64).tiny)
    count, size = vectors.shape
    return RankFigures(
        rankme(vectors),
        min(count, size),
        float(units.std(axis=0).mean() * np.sqrt(size)),
        _mean_cosine(units),
        count,
    )


def rankme(vectors: np.ndarray) -> float:
    """Returns exp of the entropy of the normalised singular values.

    Args:
        vectors: float [N, K].

    Returns:
        From about 1 to min(N, K); NaN where a number is not finite.
    """
    if not np.isfinite(vectors).all():
        return float("nan")
    # By the smaller matrix of products, which takes a tenth of the time. What
    # its eigenvalues lose, shares below 1e-8, is less than epsilon.
    tall = vectors if len(vectors) > vectors.shape[1] else vectors.T
    tall = tall.astype(np.float64)
    eigenvalues = np.linalg.eigvalsh(tall.T @ tall)
    singular = np.sqrt(np.maximum(eigenvalues, 0.0))
    total = max(float(singular.sum()), np.finfo(np.float64).tiny)
    shares = singular / total + _EPSILON
    return float(np.exp(-np.sum(shares * np.log(shares))))


def choose(hashes: np.ndarray, most: int = MAX_VECTORS) -> np.ndarray:
    """Chooses pictures by their names alone, the same ones every time.

    Those with the smallest hashes, so that what `choose_held_out` keeps out
    of training comes first.

    Args:
        hashes: uint32 [n], of `data.source.hash_names`.
        most: how many at most.

    Returns:
        Their numbers in rising order, int64 [min(n, most)].
    """
    return np.sort(np.argsort(hashes, kind="stable")[:most])


def _mean_cosine(units: np.ndarray) -> float:
    """Returns the mean over all pairs, without looking at each.

    The square of the sum has every pair twice, and each vector with itself.
    """
    count = len(units)
    if count < 2:
        return 1.0
    total = np.square(units.sum(axis=0)).sum() - np.square(units).sum()
    return float(total / (count * (count - 1)))
