"""The file of names and vectors: CSV, Parquet or NumPy's .npz."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
import csv
import importlib.util
import io
import pathlib
from typing import BinaryIO
import zipfile

import numpy as np

from mtssl_tf.process import atomic_file

# Names and vectors, float32 [n, D], a part at a time.
Rows = Iterable[tuple[Sequence[str], np.ndarray]]
_NAME = "file"


def check(path: pathlib.Path, name: str | None) -> str:
    """Returns the format of a file, by name or by the file's suffix.

    Raises:
        ValueError: it is unknown, or what it needs is not installed.
    """
    found = name or path.suffix.lstrip(".")
    if found not in _WRITERS:
        what = f"--format={name}" if name else f"--out={path}"
        raise ValueError(
            f"{what}: the format {found!r} is unknown. Known: "
            f"{', '.join(_WRITERS)}."
        )
    if found == "parquet" and importlib.util.find_spec("pyarrow") is None:
        raise ValueError(
            "--format=parquet needs pyarrow: pip install 'mtssl_tf[parquet]'."
        )
    return found


def save(
    path: pathlib.Path, kind: str, rows: Rows, count: int, dims: int
) -> None:
    """Writes a table, which appears whole or not at all.

    Args:
        path: of the file.
        kind: one that `check` gave.
        rows: in order.
        count: n, of all rows.
        dims: D.
    """
    with atomic_file.open_new(path) as file:
        _WRITERS[kind](file, rows, count, dims)


def _write_csv(file: BinaryIO, rows: Rows, count: int, dims: int) -> None:
    del count
    text = io.TextIOWrapper(file, "utf-8", newline="", write_through=True)
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([_NAME, *(f"v{index}" for index in range(dims))])
    for names, vectors in rows:
        for name, vector in zip(names, vectors, strict=True):
            # Nine digits give back the same float32.
            writer.writerow([name, *(f"{value:.9g}" for value in vector)])
    text.detach()


def _write_parquet(file: BinaryIO, rows: Rows, count: int, dims: int) -> None:
    del count
    import pyarrow as pa
    from pyarrow import parquet

    kind = pa.list_(pa.float32(), dims)
    schema = pa.schema([(_NAME, pa.string()), ("vector", kind)])
    with parquet.ParquetWriter(file, schema) as writer:
        for names, vectors in rows:
            flat = pa.array(vectors.reshape(-1), pa.float32())
            lists = pa.FixedSizeListArray.from_arrays(flat, dims)
            column = pa.array(list(names), pa.string())
            writer.write_table(pa.table([column, lists], schema))


def _write_npz(file: BinaryIO, rows: Rows, count: int, dims: int) -> None:
    all_names: list[str] = []

    def chunks() -> Iterator[bytes]:
        for names, vectors in rows:
            all_names.extend(names)
            yield np.ascontiguousarray(vectors, "<f4").tobytes()

    header = {"descr": "<f4", "fortran_order": False, "shape": (count, dims)}
    with zipfile.ZipFile(file, "w") as archive:
        # By an entry of its own, without the time of day.
        entry = zipfile.ZipInfo("vectors.npy")
        with archive.open(entry, "w", force_zip64=True) as stream:
            np.lib.format.write_array_header_1_0(stream, header)
            for chunk in chunks():
                stream.write(chunk)
        packed = io.BytesIO()
        np.save(packed, np.array(all_names, np.str_))
        archive.writestr(zipfile.ZipInfo(f"{_NAME}s.npy"), packed.getvalue())


_WRITERS: dict[str, Callable[[BinaryIO, Rows, int, int], None]] = {
    "csv": _write_csv,
    "parquet": _write_parquet,
    "npz": _write_npz,
}
