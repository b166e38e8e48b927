"""Where each picture lies in large files: for random access to any of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent import futures
import contextlib
import dataclasses
import os
import pathlib
from typing import BinaryIO

import numpy as np

from mtssl_tf.data import remote
from mtssl_tf.files import names
from mtssl_tf.files import patterns
from mtssl_tf.files import picture
from mtssl_tf.process import paths as paths_lib

_NUM_AT_ONCE = 16  # ours: files over a network that are looked through


@dataclasses.dataclass(frozen=True)
class ShardIndex:
    """Where each record lies.

    Attributes:
        paths: the files, or their URLs.
        file_numbers: int32 [n], index into `paths` of each record.
        offsets: int64 [n], of the record's data in its file.
        lengths: int64 [n], of the record's data.
    """

    paths: tuple[str, ...]
    file_numbers: np.ndarray
    offsets: np.ndarray
    lengths: np.ndarray

    def __len__(self) -> int:
        return len(self.offsets)

    @property
    def is_far(self) -> bool:
        """Whether a read goes over a network."""
        return any(map(paths_lib.is_url, self.paths))

    def path(self, index: int) -> str:
        """Returns the file that record `index` is in."""
        return self.paths[self.file_numbers[index]]

    def name(self, index: int) -> str:
        """Returns a name for record `index` that a person can find."""
        path = names.as_text(self.path(index))
        return f"{path} at byte {self.offsets[index]}"

    def names(self, numbers: np.ndarray, folder: str | None) -> list[str]:
        """Returns names of the records `numbers`, int64 [n].

        Args:
            numbers: of records.
            folder: that each file is said to be in, wherever it is; '' gives
                the files' own names, where those differ, and None paths.
        """
        files = list(self.paths)
        if folder is not None and not self.is_far:
            own = own_names(self.paths)
            files = [str(pathlib.PurePath(folder, name)) for name in own]
        shown = names.all_as_text(files)
        return [
            f"{shown[file]} at byte {offset}"
            for file, offset in zip(
                self.file_numbers[numbers].tolist(),
                self.offsets[numbers].tolist(),
            )
        ]

    def read(self, index: int) -> bytes:
        """Returns the data of record `index`.

        Raises:
            UnusablePictureError: it is larger than any picture that is read.
            OSError: it cannot be read.
        """
        start, length = int(self.offsets[index]), int(self.lengths[index])
        picture.check_num_bytes(length)
        path = self.path(index)
        if paths_lib.is_url(path):
            return remote.read(path, start, length)
        with open(path, "rb") as file:
            file.seek(start)
            return file.read(length)


def own_names(files: Sequence[str]) -> list[str]:
    """Returns a name for each file that does not tell where it lies."""
    found = [path.rpartition("/")[2] for path in files]
    return found if len(set(found)) == len(found) else list(files)


def matching_files(pattern: str) -> list[str]:
    """Returns the files, or URLs, that a pattern means, sorted by text.

    Raises:
        ValueError, OSError: as `remote.matching`.
    """
    if paths_lib.is_url(pattern):
        return remote.matching(pattern)
    return patterns.matching_files(pattern)


def build_index(
    files: Sequence[str],
    spans: Callable[[str, BinaryIO, int], list[tuple[int, int]]],
) -> ShardIndex:
    """Returns the index of all records in files, in file order.

    Args:
        files: paths or URLs.
        spans: path, the file and its size -> offset and length of each record.

    Raises:
        ValueError, OSError: as `spans`, or a file cannot be read.
    """

    def look(path: str) -> list[tuple[int, int]]:
        with _opened(path) as (file, num_bytes):
            return spans(path, file, num_bytes)

    with futures.ThreadPoolExecutor(
        _NUM_AT_ONCE if any(map(paths_lib.is_url, files)) else 1
    ) as pool:
        found = list(pool.map(look, files))
    all_spans = np.array(
        [span for of_file in found for span in of_file], np.int64
    ).reshape(-1, 2)
    counts = [len(of_file) for of_file in found]
    return ShardIndex(
        tuple(files),
        np.repeat(np.arange(len(files), dtype=np.int32), counts),
        all_spans[:, 0],
        all_spans[:, 1],
    )


@contextlib.contextmanager
def _opened(path: str) -> Iterator[tuple[BinaryIO, int]]:
    if paths_lib.is_url(path):
        with remote.opened(path) as file:
            yield file, remote.size(path)
        return
    with open(path, "rb") as file:
        yield file, os.path.getsize(path)
