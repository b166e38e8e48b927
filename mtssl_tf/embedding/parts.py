"""Vectors in parts beside the file that they will be, so that nothing is lost.

FILE.parts/settings.json   what they belong to
FILE.parts/statistics.npz  what they are standardised by
FILE.parts/00003.npz       numbers and vectors of 512 pictures
"""

from __future__ import annotations

from collections.abc import Callable
import dataclasses
import functools
import json
import pathlib
from typing import Any

import numpy as np

from mtssl_tf.data import skipped as skipped_lib
from mtssl_tf.embedding import embedder as embedder_lib
from mtssl_tf.embedding import parts_folder
from mtssl_tf.embedding import request as request_lib
from mtssl_tf.files import arrays_file
from mtssl_tf.files import json_file
from mtssl_tf.frozen import statistics as statistics_lib
from mtssl_tf.process import atomic_file

PICTURES = 512  # ours: of a part; what a kill can cost


@dataclasses.dataclass(frozen=True)
class Part:
    """Some pictures, of which any process can make the vectors.

    Attributes:
        request: what is asked for.
        folder: `FILE.parts`.
        first: number of its first picture.
        last: one behind its last.
        num_pictures: of the whole source, to notice that it has changed.
    """

    request: request_lib.Request
    folder: pathlib.Path
    first: int
    last: int
    num_pictures: int

    @property
    def path(self) -> pathlib.Path:
        """Of its file."""
        return self.folder / f"{self.first // PICTURES:05d}.npz"


@dataclasses.dataclass(frozen=True)
class Vectors:
    """What a part holds.

    Attributes:
        numbers: int64 [n], of the usable pictures.
        vectors: float32 [n, D]; D is 0 where none is usable.
        skipped: (name, reason) of the others.
    """

    numbers: np.ndarray
    vectors: np.ndarray
    skipped: list[tuple[str, str]]


def prepare(folder: pathlib.Path, embedder: embedder_lib.Embedder) -> str:
    """Makes the folder, or goes on in one of the same settings.

    Returns:
        Where the statistics are from.
    """
    digest = embedder.digest()
    path = folder / parts_folder.SETTINGS_FILE
    if (settings := _load_settings(path)).get("digest") == digest:
        atomic_file.remove_partials_in(folder)
        return str(settings["statistics"])
    parts_folder.remove(folder)
    folder.mkdir(parents=True, exist_ok=True)
    origin = "none: the vectors are raw"
    if not embedder.request.raw:
        measured, origin = embedder.find_statistics()
        statistics_lib.save(
            {embedder.reading.name: measured},
            folder / parts_folder.STATISTICS_FILE,
        )
    text = json.dumps({"digest": digest, "statistics": origin}, indent=2)
    atomic_file.write_text(path, f"{text}\n")
    return origin


def _load_settings(path: pathlib.Path) -> dict[str, Any]:
    try:
        return json_file.load_object(path, "")
    except (OSError, ValueError):  # none yet, or damaged: starts over
        return {}


def list_parts(
    folder: pathlib.Path, embedder: embedder_lib.Embedder
) -> list[Part]:
    """Returns all parts of a source's pictures, in order."""
    count = len(embedder.source)
    request = embedder.request
    return [
        Part(request, folder, first, min(first + PICTURES, count), count)
        for first in range(0, count, PICTURES)
    ]


def maker(
    embedder: embedder_lib.Embedder, folder: pathlib.Path
) -> Callable[[Part], None]:
    """Returns what makes a part unless it is there.

    Args:
        embedder: opened.
        folder: prepared.
    """
    statistics = None
    if not embedder.request.raw:
        stored = statistics_lib.load(folder / parts_folder.STATISTICS_FILE)
        statistics = stored[embedder.reading.name]
    extract = embedder.build_extract(statistics)

    def make_one(part: Part) -> None:
        if part.path.is_file():
            return
        if len(embedder.source) != part.num_pictures:
            raise ValueError(
                f"{part.request.images} has {len(embedder.source)} pictures "
                f"here and had {part.num_pictures} at the start. Start again."
            )
        skipped = skipped_lib.SkippedExamples()
        numbers, vectors = embedder.extract(
            extract, part.first, part.last, skipped
        )
        with atomic_file.open_new(part.path) as file:
            np.savez(
                file,
                numbers=numbers,
                vectors=vectors,
                skipped=np.array(json.dumps(skipped.items())),
            )

    return make_one


def make(part: Part) -> None:
    """Makes a part, in a process that may hold nothing of it yet."""
    _maker_of(part.request, part.folder)(part)


@functools.lru_cache(maxsize=1)
def _maker_of(
    request: request_lib.Request, folder: pathlib.Path
) -> Callable[[Part], None]:
    return maker(embedder_lib.open_embedder(request, None), folder)


def load(part: Part) -> Vectors:
    """Returns what a part holds.

    Raises:
        OSError: it is not there.
        ValueError: it is damaged.
    """
    remedy = "Remove it, and run the same command again."
    stored = arrays_file.load(part.path, remedy)
    with json_file.naming(part.path, remedy):
        return Vectors(
            stored["numbers"],
            stored["vectors"],
            [tuple(each) for each in json.loads(str(stored["skipped"]))],
        )
