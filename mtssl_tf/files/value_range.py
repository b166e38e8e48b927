"""From values of more than eight bits to the 0..255 of all else here.

A camera's 12 bits in a file of 16, counts of a detector, floats: what is black
and what is white, no file says. So it is decided once for a run, and stays
with its weights (`models/input_contract.py`). Eight bits have 0 and 255.
"""

from __future__ import annotations

import math

import numpy as np

Range = tuple[float, float]  # black and white
Choice = Range | str  # or DTYPE

AUTO = "auto"
DTYPE = "dtype"
HELP = (
    "Black and white of pictures of more than 8 bits a value (16-bit PNG, "
    f"TIFF): {AUTO} chooses by the pictures, {DTYPE} takes all that their type "
    "can be, MIN:MAX as 0:4095."
)
_PERCENTILES = (0.1, 99.9)  # ours: a hot pixel or a dead one decides nothing
# ours: levels of 256 that a picture must span where nobody has chosen a range.
# 12 bits in 16 span 16: nearly black.
_MIN_LEVELS_OF_DTYPE = 17
# ours: of what can still be computed with
_MIN_SPREAD, _MAX_SPREAD = 1e-300, 1e300
_CHUNK = 2**22  # values that are scaled at a time, which bounds the memory


class NoContrastError(ValueError):
    """Of all values nothing would be left but one level, or a few."""


def parse(text: str) -> Choice:
    """Reads 'auto', 'dtype' or 'MIN:MAX'.

    Raises:
        ValueError: it is none of them.
    """
    if text in (AUTO, DTYPE):
        return text
    try:
        low, high = (float(part) for part in text.split(":"))
        check((low, high))
    except ValueError:
        raise ValueError(
            f"--value_range={text} is neither {AUTO}, {DTYPE} nor MIN:MAX, "
            "two numbers with MIN under MAX, as 0:4095."
        ) from None
    return low, high


def check(value_range: Choice | None) -> None:
    """Refuses a range that is none.

    Raises:
        ValueError: it is neither two finite numbers, the smaller first, nor
            DTYPE, nor None.
    """
    if value_range in (DTYPE, None):
        return
    if not (
        isinstance(value_range, tuple)
        and len(value_range) == 2
        and -math.inf < value_range[0] < value_range[1] < math.inf
    ):
        raise ValueError(
            "value_range must be two finite numbers, the smaller first, or "
            f"{DTYPE!r}, got {value_range!r}."
        )


def shown(value_range: Range) -> str:
    """Returns a range as `parse` takes it."""
    low, high = value_range
    return f"{low:g}:{high:g}"


def of_dtype(dtype: np.dtype) -> Range:
    """Returns all that whole numbers can be; 0 to 1 of floats."""
    if dtype.kind == "f":
        return 0.0, 1.0
    bounds = np.iinfo(dtype)
    return float(bounds.min), float(bounds.max)


def of_values(values: np.ndarray) -> Range:
    """Returns the range that most of some values are in.

    Args:
        values: [n], finite.

    Raises:
        NoContrastError: it is none: nearly all are the same.
    """
    low, high = (float(each) for each in np.percentile(values, _PERCENTILES))
    spread = high - low
    if low < high and not _MIN_SPREAD < spread < _MAX_SPREAD:
        raise NoContrastError(
            f"values are from {low:g} to {high:g}, too near or too far from "
            "each other to tell them apart"
        )
    # As few digits as people read, outwards.
    digits = 1 - math.floor(math.log10(spread)) if high > low else 0
    step = 10.0**-digits
    low = round(math.floor(low / step) * step, max(digits, 0))
    high = round(math.ceil(high / step) * step, max(digits, 0))
    low, high = max(low, float(values.min())), min(high, float(values.max()))
    if not low < high:
        raise NoContrastError(
            f"nearly all values are {low:g}: there is nothing to see"
        )
    return low, high


def to_bytes(
    values: np.ndarray, value_range: Choice | None = None
) -> np.ndarray:
    """Maps values to 0..255; what is beyond the range is black or white.

    Args:
        values: [H, W, C], finite, of any numbers.
        value_range: what becomes 0 and 255; DTYPE or None takes all that the
            values' type can be.

    Returns:
        uint8 [H, W, C].

    Raises:
        NoContrastError: a picture of one value, or black, or nearly so.
    """
    chosen = value_range if isinstance(value_range, tuple) else None
    low, high = chosen or of_dtype(values.dtype)
    smallest, largest = float(values.min()), float(values.max())
    scale = 255 / (high - low)
    levels = np.clip((np.array([smallest, largest]) - low) * scale, 0, 255)
    needed = 1 if chosen else _MIN_LEVELS_OF_DTYPE
    if smallest == largest:
        raise NoContrastError(f"all its values are {smallest:g}")
    if levels[1] - levels[0] < needed:
        of_what = "--value_range=" if chosen else f"{values.dtype}'s "
        raise NoContrastError(
            f"its values, {smallest:g} to {largest:g}, would all look alike "
            f"in {of_what}{shown((low, high))}; train with "
            "--value_range=MIN:MAX"
        )
    if values.dtype == np.uint16:  # by far the most: a table takes a third
        table = np.arange(2**16, dtype=np.uint16)
        return _scaled(table, low, scale)[values]
    result = np.empty(values.shape, np.uint8)
    rows = max(1, _CHUNK // values[0].size)
    for start in range(0, len(values), rows):
        part = values[start : start + rows]
        result[start : start + rows] = _scaled(part, low, scale)
    return result


def _scaled(values: np.ndarray, low: float, scale: float) -> np.ndarray:
    levels = (values.astype(np.float64) - low) * scale
    return np.clip(np.rint(levels), 0, 255).astype(np.uint8)


def check_finite(values: np.ndarray) -> None:
    """Refuses what has no place between black and white.

    Raises:
        ValueError: a value is NaN or infinite; says how many.
    """
    if values.dtype.kind != "f":
        return
    count = int(values.size - np.isfinite(values).sum())
    if count:
        raise ValueError(
            f"{count} of its {values.size} values are NaN or infinite; fill "
            "them in, or leave it out"
        )
