"""Two things measured in turns, since these figures are ratios.

Machines are noisy: what is measured a minute later is measured on another
machine. In turns whatever else the machine does falls on both.
"""

from __future__ import annotations

from collections.abc import Callable
import statistics

Figure = dict[str, float]


def compare(
    ours: Callable[[], float], reference: Callable[[], float], num_rounds: int
) -> Figure:
    """Measures two things in turns.

    Args:
        ours: measures ours once: seconds, bytes or a rate.
        reference: measures what it is held against, in the same unit.
        num_rounds: turns of each.

    Returns:
        `ours` and `reference`, the medians; their `ratio`; and `spread`, half
        the range of the ratios of single turns.
    """
    turns = [(reference(), ours()) for _ in range(num_rounds)]
    median_reference, median_ours = map(statistics.median, zip(*turns))
    ratios = [own / other for other, own in turns]
    return {
        "ours": median_ours,
        "reference": median_reference,
        "ratio": median_ours / median_reference,
        "spread": (max(ratios) - min(ratios)) / 2,
    }
