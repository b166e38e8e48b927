"""Files for TensorBoard's projector: vectors, names and a sprite of pictures.

tensorboard --logdir=DIR
"""

from __future__ import annotations

from collections.abc import Sequence
import pathlib

import numpy as np

from mtssl_tf.data import pictures as pictures_lib
from mtssl_tf.embedding import thumbnail
from mtssl_tf.files import names as names_lib
from mtssl_tf.files import picture
from mtssl_tf.process import atomic_file

_CONFIG_FILE = "projector_config.pbtxt"
_SIDE_PX = 48  # ours
_MAX_SPRITE_PX = 8192  # a side, which the projector's page bounds
_CONFIG = """embeddings {{
  tensor_path: "vectors.tsv"
  metadata_path: "names.tsv"
{sprite}}}
"""
_SPRITE = """  sprite {{
    image_path: "sprite.png"
    single_image_dim: {side}
    single_image_dim: {side}
  }}
"""


def check(folder: pathlib.Path) -> None:
    """Refuses a folder that holds something else than an earlier projector.

    Raises:
        FileExistsError: it does.
    """
    if folder.exists() and not (folder / _CONFIG_FILE).is_file():
        raise FileExistsError(
            f"--projector={folder} exists and holds no {_CONFIG_FILE}. Name a "
            "new folder."
        )


def save(
    folder: pathlib.Path,
    source: pictures_lib.PictureSource,
    numbers: np.ndarray,
    vectors: np.ndarray,
) -> None:
    """Writes the folder, which appears whole or not at all.

    Where there are too many pictures for one sprite there is none.

    Args:
        folder: to write.
        source: of the pictures.
        numbers: int [n], the number in the source of each vector.
        vectors: float32 [n, D].
    """
    columns = int(np.ceil(np.sqrt(len(numbers))))
    has_sprite = columns * _SIDE_PX <= _MAX_SPRITE_PX
    with atomic_file.new_folder(folder, replaces=True) as partial:
        np.savetxt(partial / "vectors.tsv", vectors, "%.9g", "\t")
        # One column has no header, as the projector wants it.
        text = "".join(
            f"{names_lib.shown(source.names[number])}\n" for number in numbers
        )
        (partial / "names.tsv").write_text(text)
        if has_sprite:
            sprite = _draw_sprite(source, numbers.tolist(), columns)
            picture.save(partial / "sprite.png", sprite[..., ::-1])
        entry = _SPRITE.format(side=_SIDE_PX) if has_sprite else ""
        (partial / _CONFIG_FILE).write_text(_CONFIG.format(sprite=entry))


def _draw_sprite(
    source: pictures_lib.PictureSource, numbers: Sequence[int], columns: int
) -> np.ndarray:
    """Returns pictures row by row in a square, uint8 [S, S, 3] RGB."""
    side = columns * _SIDE_PX
    sprite = np.full((side, side, 3), 255, np.uint8)
    for place, number in enumerate(numbers):
        row, column = divmod(place, columns)
        sprite[
            row * _SIDE_PX : (row + 1) * _SIDE_PX,
            column * _SIDE_PX : (column + 1) * _SIDE_PX,
        ] = thumbnail.thumbnail(source, number, _SIDE_PX)
    return sprite
