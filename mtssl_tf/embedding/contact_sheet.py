"""Pictures and what is nearest to them, to look at: queries on the left."""

from __future__ import annotations

import pathlib

import numpy as np

from mtssl_tf.data import pictures as pictures_lib
from mtssl_tf.embedding import near
from mtssl_tf.embedding import thumbnail
from mtssl_tf.files import picture
from mtssl_tf.process import atomic_file
from mtssl_tf.tasks import drawing

_NUM_QUERIES = 12  # ours: rows that fit a screen
_SIDE_PX = 96
_GAP_PX = 12  # between a query and its neighbours


def save(
    path: pathlib.Path,
    source: pictures_lib.PictureSource,
    numbers: np.ndarray,
    units: np.ndarray,
    count: int,
) -> None:
    """Writes a PNG with a row for each of twelve pictures.

    Args:
        path: of the file.
        source: of the pictures.
        numbers: int [n], the number in the source of each vector.
        units: float32 [n, D], of `near.unit_length`.
        count: neighbours in a row.
    """
    num_queries = min(_NUM_QUERIES, len(numbers))
    queries = np.linspace(0, len(numbers) - 1, num_queries).round().astype(int)
    found, cosines = near.nearest(units, queries, count)
    gap = np.full((_SIDE_PX, _GAP_PX, 3), 255, np.uint8)
    rows = []
    for query, others, values in zip(queries, found, cosines, strict=True):
        chosen = [numbers[each] for each in (query, *others)]
        cells = [
            thumbnail.thumbnail(source, int(number), _SIDE_PX)
            for number in chosen
        ]
        likeness = " ".join(f"{value:.2f}" for value in values)
        rows.append(
            drawing.row(
                [cells[0], gap, *cells[1:]],
                f"{source.names[chosen[0]]}: {likeness}",
            )
        )
    sheet = np.concatenate(rows)[..., ::-1]
    with atomic_file.scratch_folder(path) as scratch:
        made = scratch / "sheet.png"
        picture.save(made, sheet)
        atomic_file.move(made, path)
