"""Draws pictures beside their true and predicted depth."""

from __future__ import annotations

from collections.abc import Sequence
import pathlib

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
import numpy as np

from evaluation.depth import pairs as pairs_lib

_COLUMNS = ("picture", "true depth", "predicted depth", "error")
_MISSING_COLOR = "0.6"
_CELL_INCHES = 2.4  # a cell's width


def save_depth_pictures(
    pairs: Sequence[pairs_lib.DepthPair],
    predictions: Sequence[np.ndarray],
    path: pathlib.Path,
) -> None:
    """Saves a row a pair: picture, truth, prediction, prediction - truth.

    All depth maps share one colour scale and all errors another, so that rows
    can be compared. Missing depth is grey.

    Args:
        pairs: at least one, with some known depth.
        predictions: float32 [H, W] each, metres.
        path: of a PNG.
    """
    known = np.concatenate([p.depth_m[p.depth_m > 0] for p in pairs])
    low, high = np.percentile(known, [0.5, 99.5])
    errors = [_error(p, d) for p, d in zip(pairs, predictions)]
    reach = np.percentile(
        np.abs(np.concatenate([error.compressed() for error in errors])), 99.5
    )
    height, width = pairs[0].depth_m.shape
    row_inches = _CELL_INCHES * height / width + 0.06
    figure = Figure(
        figsize=(4 * _CELL_INCHES, row_inches * len(pairs) + 0.9),
        layout="constrained",
    )
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(pairs), len(_COLUMNS), squeeze=False)
    for row, pair, prediction, error in zip(axes, pairs, predictions, errors):
        row[0].imshow(pair.rgb)
        truth = np.ma.masked_equal(pair.depth_m, 0)
        for axis, depth in zip(row[1:3], (truth, prediction)):
            depth_image = axis.imshow(
                depth, _colors("viridis_r"), vmin=low, vmax=high
            )
        error_image = row[3].imshow(
            error, _colors("RdBu"), vmin=-reach, vmax=reach
        )
        for axis in row:
            axis.set_xticks([])
            axis.set_yticks([])
    for axis, title in zip(axes[0], _COLUMNS):
        axis.set_title(title, fontsize=10)
    for image, columns, text in (
        (depth_image, axes[-1, 1:3], "depth (m)"),
        (error_image, axes[-1, 3], "predicted - true (m)"),
    ):
        figure.colorbar(
            image, ax=columns, location="bottom", label=text, aspect=30
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def _error(
    pair: pairs_lib.DepthPair, prediction: np.ndarray
) -> np.ma.MaskedArray:
    return np.ma.masked_array(prediction - pair.depth_m, pair.depth_m == 0)


def _colors(name: str) -> matplotlib.colors.Colormap:
    return matplotlib.colormaps[name].with_extremes(bad=_MISSING_COLOR)
