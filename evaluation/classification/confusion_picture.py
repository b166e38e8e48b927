"""A confusion table as a picture."""

from __future__ import annotations

from collections.abc import Sequence
import os

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
import numpy as np

_GAMMA = 0.5  # ours: rare confusions stay visible beside the diagonal
_MAX_NAMED_CLASSES = 100  # more names than this can't be read


def save_confusion(
    path: str | os.PathLike, table: np.ndarray, class_names: Sequence[str]
) -> None:
    """Draws true classes as rows, predicted ones as columns.

    Args:
        path: a PNG file.
        table: float [K, K] of shares in [0, 1].
        class_names: K names.
    """
    side = float(np.clip(2.0 + 0.16 * len(class_names), 5.0, 20.0))
    figure = Figure(figsize=(side + 1.0, side), dpi=100, layout="constrained")
    axes = figure.add_subplot()
    image = axes.imshow(table, cmap="magma", norm=PowerNorm(_GAMMA, 0.0, 1.0))
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    if len(class_names) <= _MAX_NAMED_CLASSES:
        ticks = range(len(class_names))
        axes.set_yticks(ticks, class_names, fontsize=7, parse_math=False)
        axes.set_xticks(
            ticks, class_names, fontsize=7, rotation=90, parse_math=False
        )
    figure.colorbar(image, ax=axes, label="share of the true class")
    FigureCanvasAgg(figure).print_png(str(path))
