"""The 313 colour bins of Zhang et al. 2016, as facts.

The ab plane is cut into a grid of step 10; a grid point is a bin where some
sRGB colour falls near it. In every row of constant a the bins are contiguous
in b, so that a row is three numbers.
"""

from __future__ import annotations

import numpy as np

GRID_STEP = 10  # release: Zhang et al. 2016, sec. 2.1

# (a, smallest b, largest b), in CIE Lab units.
_ROWS = (
    (-90, 50, 90),
    (-80, 20, 90),
    (-70, 0, 90),
    (-60, -20, 90),
    (-50, -30, 100),
    (-40, -40, 100),
    (-30, -50, 100),
    (-20, -50, 100),
    (-10, -60, 100),
    (0, -70, 100),
    (10, -80, 90),
    (20, -80, 90),
    (30, -90, 90),
    (40, -100, 90),
    (50, -100, 80),
    (60, -110, 80),
    (70, -110, 80),
    (80, -110, 70),
    (90, -110, 70),
    (100, -90, 0),
)


def build_ab_bins() -> np.ndarray:
    """Returns the bin centres, float32 [313, 2], in (a, b) order."""
    return np.array(
        [
            (a, b)
            for a, first, last in _ROWS
            for b in range(first, last + 1, GRID_STEP)
        ],
        np.float32,
    )


NUM_AB_BINS = sum((last - first) // GRID_STEP + 1 for _, first, last in _ROWS)
