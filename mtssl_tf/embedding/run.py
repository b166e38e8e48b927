"""Vectors of many pictures: what `python -m mtssl_tf.embed` does, in Python."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
import csv
import dataclasses
import io
import json
import os
import pathlib
import tempfile
from typing import Any, TYPE_CHECKING

from absl import logging
import numpy as np

from mtssl_tf.data import open_source
from mtssl_tf.data import source as source_lib
from mtssl_tf.embedding import parts_folder
from mtssl_tf.embedding import projector
from mtssl_tf.embedding import request as request_lib
from mtssl_tf.embedding import table
from mtssl_tf.files import json_file
from mtssl_tf.frozen import rank as rank_lib
from mtssl_tf.process import atomic_file
from mtssl_tf.process import lock
from mtssl_tf.process import paths
from mtssl_tf.reports import progress as progress_lib

if TYPE_CHECKING:
    from mtssl_tf.data import pictures as pictures_lib
    from mtssl_tf.embedding import parts as parts_lib
    from mtssl_tf.process import local_map

DUPLICATES_ABOVE = 0.99  # ours
_ABOUT_KEYS = {"statistics", "rank", "skipped"}  # of `FILE.json`


@dataclasses.dataclass(frozen=True)
class Outputs:
    """What is written beside the vectors, where it is asked for.

    Attributes:
        format: of the table; None goes by its suffix.
        neighbours: in a row of `FILE.neighbours.png`; 0 draws none.
        duplicates: CSV file of pairs, or None.
        duplicates_above: cosine from which on two pictures are a pair.
        projector: folder for TensorBoard's projector, or None.
    """

    format: str | None = None
    neighbours: int = 0
    duplicates: pathlib.Path | None = None
    duplicates_above: float = DUPLICATES_ABOVE
    projector: pathlib.Path | None = None


@dataclasses.dataclass(frozen=True)
class Embeddings:
    """Vectors of the pictures that could be used, in the source's order.

    Attributes:
        names: n of them.
        vectors: float32 [n, D].
        skipped: name -> reason of the pictures left out.
        statistics: where those are from that the vectors are standardised by.
        rank: RankMe and collapse figures of up to 2048 of the vectors, which
            are chosen by name.
    """

    names: tuple[str, ...]
    vectors: np.ndarray
    skipped: dict[str, str]
    statistics: str
    rank: rank_lib.RankFigures


def embed(
    trunk: str | os.PathLike,
    images: str | os.PathLike,
    out: str | os.PathLike | None = None,
    *,
    unit: str = "",
    lasso: str = "",
    pool: str = "mean",
    raw: bool = False,
    size_px: int | None = None,
    preset: str | None = None,
    seed: int = 0,
) -> Embeddings:
    """Gives every picture a vector, with the command's flags as arguments.

    Args:
        trunk: a run directory, an export, hf://USER/NAME or 'random'.
        images: as `--images` of training (docs/data.md).
        out: file to write, .csv, .parquet or .npz; the same call goes on
            where an earlier one stopped. None writes none.
        unit: 'unit_NN'; "" reads the last one.
        lasso: task whose learned mix of units is read instead.
        pool: 'mean', 'max' or 'grid3'.
        raw: leaves statistics and ReLU out.
        size_px: side of the square that the trunk sees.
        preset: of that size; None is the trunk's own.
        seed: of a random trunk.

    Raises:
        ValueError: something is unknown, or no picture can be used.
        OSError: something is missing, or `out` is there or can't be written.
    """
    request = request_lib.Request(
        paths.expand(os.fspath(trunk)),
        paths.join(paths.split(os.fspath(images))),
        unit,
        lasso,
        pool,
        raw,
        size_px,
        preset,
        seed,
    )
    if out is not None:
        path = pathlib.Path(paths.expand(os.fspath(out)))
        return run(request, path, Outputs())
    with tempfile.TemporaryDirectory() as scratch:
        return run(request, pathlib.Path(scratch) / "vectors.npz", Outputs())


def run(
    request: request_lib.Request,
    out: pathlib.Path,
    outputs: Outputs,
    map_all: local_map.MapAll | None = None,
    on_lost_lock: Callable[[str], None] | None = None,
) -> Embeddings:
    """Makes all parts, and of them what was asked for.

    Args:
        request: of the vectors.
        out: the table; comes last, when all else is there.
        outputs: what to write besides.
        map_all: spreads parts, as `cluster_map` does; None makes them here.
        on_lost_lock: as `lock.hold_name` takes it.

    Raises:
        ValueError, OSError: as `embed`.
    """
    # Whole: other processes of a cluster may be elsewhere.
    folder = out.absolute().with_name(f"{out.name}.parts")
    kind = _check(out, outputs, folder)
    with lock.hold_name(out, on_lost_lock or logging.error):
        atomic_file.remove_partials(out)
        if out.exists():
            parts_folder.remove(folder)  # of who was killed at the very end
            raise FileExistsError(
                f"--out={out} exists. Name a new file, or remove that one."
            )
        source = open_source.open_pictures(request.images)
        made, numbers, source = _make_all(request, source, folder, map_all)
        _write_others(made, numbers, out, outputs, source)
        _write_about(made, out)
        rows = [(made.names, made.vectors)]
        table.save(out, kind, rows, *made.vectors.shape)
        parts_folder.remove(folder)
    return made


def _check(out: pathlib.Path, outputs: Outputs, folder: pathlib.Path) -> str:
    """Checks where things are to go; returns the table's format."""
    parts_folder.check(folder)
    _check_about(_about_path(out))
    kind = table.check(out, outputs.format)
    if outputs.projector:
        projector.check(outputs.projector)
    for path in (out, outputs.duplicates, outputs.projector):
        if path is not None:
            paths.check_parent(path, str(path))
    if outputs.duplicates and outputs.duplicates.is_dir():
        raise IsADirectoryError(
            f"--duplicates={outputs.duplicates} is a folder. Name a file."
        )
    # Whose parts are there may have been killed after he wrote it.
    is_begun = folder.exists()
    if outputs.duplicates and outputs.duplicates.exists() and not is_begun:
        raise FileExistsError(
            f"--duplicates={outputs.duplicates} exists. Name a new file, or "
            "remove that one."
        )
    named = {
        "--duplicates": outputs.duplicates,
        "--projector": outputs.projector,
    }
    taken = {
        os.path.realpath(path): str(path)
        for path in (out, folder, _about_path(out), _sheet_path(out))
    }
    for flag, path in named.items():
        if path and taken.setdefault(os.path.realpath(path), flag) != flag:
            raise ValueError(
                f"{flag}={path} is where {taken[os.path.realpath(path)]} is "
                "written. Name another."
            )
    return kind


def _check_about(path: pathlib.Path) -> None:
    """Raises FileExistsError where something else has the name of ours."""
    if not os.path.lexists(path):
        return
    try:
        found = json_file.load_object(path, "")
    except (OSError, ValueError):
        found = {}
    if found.keys() != _ABOUT_KEYS:
        raise FileExistsError(
            f"{path} exists and is no record of vectors, which is to be "
            "written there. Move it, or name another --out."
        )


def _about_path(out: pathlib.Path) -> pathlib.Path:
    return out.with_name(f"{out.name}.json")


def _sheet_path(out: pathlib.Path) -> pathlib.Path:
    return out.with_name(f"{out.name}.neighbours.png")


def _make_all(
    request: request_lib.Request,
    source: pictures_lib.PictureSource,
    folder: pathlib.Path,
    map_all: local_map.MapAll | None,
) -> tuple[Embeddings, np.ndarray, pictures_lib.PictureSource]:
    """Makes all parts.

    Returns:
        What is in them, the numbers of their pictures, and the pictures as
        the trunk saw them.
    """
    # TensorFlow, once there is work.
    from mtssl_tf.embedding import embedder as embedder_lib
    from mtssl_tf.embedding import parts as parts_lib

    embedder = embedder_lib.open_embedder(request, source)
    statistics = parts_lib.prepare(folder, embedder)
    parts = parts_lib.list_parts(folder, embedder)
    if map_all is None:
        make = parts_lib.maker(embedder, folder)
        outcomes = ((number, make(part)) for number, part in enumerate(parts))
        _follow(outcomes, parts)
    else:
        _follow(map_all(parts_lib.make, parts), parts)
    loaded = [parts_lib.load(part) for part in parts]
    used = [each for each in loaded if len(each.numbers)]
    if not used:
        raise source_lib.SourceError(
            f"None of the {len(source)} pictures of {source.description} can "
            "be used. The log names each and says why."
        )
    numbers = np.concatenate([each.numbers for each in used])
    skipped = dict(pair for each in loaded for pair in each.skipped)
    names = tuple(map(source.names.__getitem__, numbers.tolist()))
    vectors = np.concatenate([each.vectors for each in used])
    ranked = vectors[rank_lib.choose(source_lib.hash_names(names))]
    figures = rank_lib.measure(ranked)
    made = Embeddings(names, vectors, skipped, statistics, figures)
    return made, numbers, embedder.source


def _follow(
    outcomes: Iterator[tuple[int, Any]], parts: Sequence[parts_lib.Part]
) -> None:
    """Waits for all parts, and shows how far they are."""
    total = sum(part.last - part.first for part in parts)
    progress = progress_lib.ProgressLine(total, "pictures")
    done = 0
    for number, outcome in outcomes:
        if isinstance(outcome, Exception):
            raise outcome
        done += parts[number].last - parts[number].first
        progress.update(done)
    progress.finish(f"{done}/{total} pictures")


def _write_others(
    made: Embeddings,
    numbers: np.ndarray,
    out: pathlib.Path,
    outputs: Outputs,
    source: pictures_lib.PictureSource,
) -> None:
    """Writes what was asked for beside the table."""
    from mtssl_tf.embedding import contact_sheet
    from mtssl_tf.embedding import near

    if outputs.neighbours or outputs.duplicates:
        units = near.unit_length(made.vectors)
    if outputs.neighbours:
        path = _sheet_path(out)
        contact_sheet.save(path, source, numbers, units, outputs.neighbours)
    if outputs.duplicates:
        pairs = near.duplicates(units, outputs.duplicates_above)
        _write_pairs(outputs.duplicates, made.names, pairs)
    if outputs.projector:
        atomic_file.remove_partials(outputs.projector)
        projector.save(outputs.projector, source, numbers, made.vectors)


def _write_pairs(
    path: pathlib.Path,
    names: Sequence[str],
    pairs: Iterable[tuple[int, int, float]],
) -> None:
    """Writes a CSV file of pairs of pictures and their cosines."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["file", "other", "cosine"])
    writer.writerows(
        [names[one], names[two], f"{cosine:.4f}"] for one, two, cosine in pairs
    )
    atomic_file.write_text(path, text.getvalue())


def _write_about(made: Embeddings, out: pathlib.Path) -> None:
    """Writes `FILE.json`: what was skipped, rank, whose the statistics are."""
    about = {
        "statistics": made.statistics,
        "rank": made.rank.entries(),
        "skipped": made.skipped,
    }
    text = json.dumps(about, indent=2)
    atomic_file.write_text(_about_path(out), f"{text}\n")
