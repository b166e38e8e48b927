"""Whether what was written gives the numbers that it was written from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from mtssl_tf.formats import registry
from mtssl_tf.lazy_imports import keras

if TYPE_CHECKING:
    from mtssl_tf import pretrained as pretrained_lib

# The reloaded model runs the same operations: only their order and fusion
# may differ.
MAX_DIFFERENCE = 1e-4  # of the largest feature
_SIZES = ((64, 96), (97, 65))  # even, odd, and not square


def extract_of(pretrained: pretrained_lib.Pretrained) -> registry.Extract:
    """Returns pictures -> units, by the trunk as it is in memory."""

    def extract(image: np.ndarray) -> Mapping[str, np.ndarray]:
        units = pretrained.trunk(
            pretrained.contract.apply(image), training=False
        )
        return {
            name: keras.ops.convert_to_numpy(unit)
            for name, unit in units.items()
        }

    return extract


def largest_difference(
    expected: registry.Extract, got: registry.Extract, what: str
) -> float:
    """Returns the largest difference, relative to a unit's largest feature.

    Args:
        expected: is right.
        got: is compared.
        what: it is, for the message.

    Raises:
        ArithmeticError: they differ by more than rounding does, or in units.
    """
    random = np.random.default_rng(0)
    worst = 0.0
    for size in _SIZES:
        image = random.integers(0, 256, (2, *size, 3), np.uint8)
        truth, found = expected(image), got(image)
        if truth.keys() != found.keys():
            raise ArithmeticError(
                f"{what} has {sorted(found)} where {sorted(truth)} are wanted."
            )
        for name, right in truth.items():
            error = np.abs(found[name] - right).max() / np.abs(right).max()
            worst = max(worst, float(error))
    if not worst <= MAX_DIFFERENCE:
        raise ArithmeticError(
            f"{what}, reloaded, differs by {worst:.1e} of the largest feature, "
            f"more than {MAX_DIFFERENCE:.0e}. Nothing was written."
        )
    return worst
