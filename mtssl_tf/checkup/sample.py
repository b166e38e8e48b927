"""Which of many files to look at, where a share of them is enough."""

from __future__ import annotations

import numpy as np

_SEED = 0  # the same share looks at the same files again


def check_share(share: float) -> None:
    """Refuses what is no share.

    Raises:
        ValueError: it is not in (0, 1].
    """
    if not 0 < share <= 1:
        raise ValueError(
            f"--share={share:g} must be over 0 and at most 1, as 0.1 for a "
            "tenth of the files."
        )


def numbers(total: int, share: float) -> np.ndarray:
    """Returns which of `total` to look at: int64 [n], sorted, n >= 1."""
    count = max(1, round(share * total))
    if count == total:
        return np.arange(total)
    generator = np.random.default_rng(_SEED)
    return np.sort(generator.choice(total, count, replace=False))
