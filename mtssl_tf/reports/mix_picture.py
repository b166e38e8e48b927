"""The paper's Figure 4: which units each task reads, as a picture.

Rows are tasks, pretext above evaluation; columns are units, shallowest at
the left; whiter is a larger |alpha|, on a nonlinear scale so that small
weights are not lost beside large ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
import numpy as np

# ours: |alpha| = 0.1 is drawn at 0.4 of white. The paper only says nonlinear.
_GAMMA = 0.4
_OFF_MARK = "×"  # an exact zero, which a dark square alone can't tell apart
_DPI = 100
_CELL_INCHES = 0.32


def draw_mixes(
    pretext: Mapping[str, Sequence[float]],
    evaluation: Mapping[str, Sequence[float]] | None = None,
) -> np.ndarray:
    """Draws mixes as rows of grey squares.

    Args:
        pretext: name of a row -> its mix, N weights; drawn above.
        evaluation: the same for evaluation tasks; drawn below a gap.

    Returns:
        uint8 [H, W, 3] RGB; white is |alpha| = 1, a cross is an exact zero.

    Raises:
        ValueError: there is no row, or rows differ in length.
    """
    rows = [
        (name, np.abs(np.asarray(weights, np.float64)))
        for mixes in (pretext, evaluation or {})
        for name, weights in mixes.items()
    ]
    _check_rows(rows)
    num_units = len(rows[0][1])
    num_blank = int(bool(pretext) and bool(evaluation))
    figure = _build_figure(rows, num_units, num_blank)
    axes = figure.add_subplot()
    norm = PowerNorm(_GAMMA, 0.0, 1.0)
    for index, (name, weights) in enumerate(rows):
        line = index + (num_blank if index >= len(pretext) else 0)
        axes.imshow(
            weights[None],
            cmap="gray",
            norm=norm,
            extent=(0.5, num_units + 0.5, line + 0.5, line - 0.5),
            aspect="auto",
        )
        for unit in np.flatnonzero(weights == 0.0).tolist():
            axes.text(
                unit + 1, line, _OFF_MARK, color="0.4", ha="center", va="center"
            )
    names = [name for name, _ in rows]
    _label_axes(axes, names, len(pretext), num_blank, num_units)
    figure.colorbar(
        ScalarMappable(norm, "gray"),
        ax=axes,
        ticks=[0, 0.05, 0.2, 0.5, 1],
        label="|alpha|",
        pad=0.02,
    )
    return _render(figure)


def _check_rows(rows: list[tuple[str, np.ndarray]]) -> None:
    if not rows:
        raise ValueError(
            "There is no mix to draw. Train or evaluate with --lasso."
        )
    lengths = {name: len(weights) for name, weights in rows}
    if len(set(lengths.values())) > 1:
        raise ValueError(
            "Rows of one picture need the same number of units. Got "
            f"{lengths}. Draw runs with other trunks on their own."
        )


def _build_figure(rows, num_units: int, num_blank: int) -> Figure:
    longest_name = max(len(name) for name, _ in rows)
    num_lines = max(len(rows) + num_blank, 3)
    return Figure(
        figsize=(
            _CELL_INCHES * max(num_units, 6) + 0.08 * longest_name + 1.6,
            _CELL_INCHES * num_lines + 0.8,
        ),
        dpi=_DPI,
        layout="constrained",
    )


def _label_axes(
    axes, names: list[str], num_pretext: int, num_blank: int, num_units: int
) -> None:
    lines = [
        index + (num_blank if index >= num_pretext else 0)
        for index in range(len(names))
    ]
    axes.set_xlim(0.5, num_units + 0.5)
    axes.set_ylim(len(names) + num_blank - 0.5, -0.5)
    axes.set_yticks(lines, names)
    axes.set_xticks(np.arange(1, num_units + 1))
    axes.tick_params(length=0)
    axes.tick_params(axis="x", labelsize="small")
    axes.set_xlabel("unit, shallowest first")
    # Thin lines in the page's white part the squares.
    axes.set_xticks(np.arange(1.5, num_units), minor=True)
    axes.grid(which="minor", axis="x", color="white", linewidth=1)
    axes.tick_params(which="minor", length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _render(figure: Figure) -> np.ndarray:
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()
