"""What tasks share that answer for each place of a picture."""

from __future__ import annotations

from typing import Any

from mtssl_tf.lazy_imports import keras

STRIDE = 8  # paper, sec. 2


def check(config: Any, side_setting: str) -> None:
    """Checks that a crop has whole places, and room in its picture.

    Args:
        config: a `TaskConfig` with `crop_px`.
        side_setting: name of the smallest short side that it is cut from.

    Raises:
        ValueError: names the option, and what it must be.
    """
    if config.output_stride != STRIDE:
        raise ValueError(
            f"output_stride={config.output_stride} must be {STRIDE}: each "
            "place is answered for at this stride (paper, sec. 2)."
        )
    config.check_fit("crop_px", side_setting)
    if config.crop_px % STRIDE:
        raise ValueError(
            f"crop_px={config.crop_px} must be a multiple of {STRIDE}."
        )


def average(values: Any) -> Any:
    """Returns the mean of each place, [B, h, w, C] of [B, 8 h, 8 w, C]."""
    return keras.ops.average_pool(
        values, STRIDE, STRIDE, "valid", "channels_last"
    )
