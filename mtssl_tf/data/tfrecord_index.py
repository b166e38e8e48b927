"""Random access to the records of TFRecord files.

A record is a length (uint64), its checksum (uint32), the data and the data's
checksum (uint32). Reading only the lengths gives every record's offset, so a
training run can take records in any order, and resume at any position.
"""

from __future__ import annotations

import dataclasses
import os
import struct

import numpy as np

_HEADER = struct.Struct("<QI")
_FOOTER_BYTES = 4


@dataclasses.dataclass(frozen=True)
class TFRecordIndex:
    """Where each record lies.

    Attributes:
        paths: the files.
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

    def name(self, index: int) -> str:
        """Returns a name for record `index` that a person can find."""
        path = self.paths[self.file_numbers[index]]
        return f"{path} at byte {self.offsets[index]}"

    def read(self, index: int) -> bytes:
        """Returns the data of record `index`."""
        with open(self.paths[self.file_numbers[index]], "rb") as file:
            file.seek(self.offsets[index])
            return file.read(self.lengths[index])


def build_tfrecord_index(paths: tuple[str, ...]) -> TFRecordIndex:
    """Returns the index of all records in `paths`, in file order.

    Raises:
        ValueError: a file is cut off or is no TFRecord file.
    """
    file_numbers, offsets, lengths = [], [], []
    for number, path in enumerate(paths):
        size = os.path.getsize(path)
        with open(path, "rb") as file:
            position = 0
            while position < size:
                header = file.read(_HEADER.size)
                data_start = position + _HEADER.size
                length = (
                    _HEADER.unpack(header)[0]
                    if len(header) == _HEADER.size
                    else size
                )
                position = data_start + length + _FOOTER_BYTES
                if position > size:
                    raise ValueError(
                        f"{path} is cut off or no uncompressed TFRecord "
                        f"file: the record at byte {data_start} would end "
                        f"at {position} of {size}. Write the file again, or "
                        "leave it out of the pattern."
                    )
                file_numbers.append(number)
                offsets.append(data_start)
                lengths.append(length)
                file.seek(position)
    return TFRecordIndex(
        tuple(paths),
        np.array(file_numbers, np.int32),
        np.array(offsets, np.int64),
        np.array(lengths, np.int64),
    )
