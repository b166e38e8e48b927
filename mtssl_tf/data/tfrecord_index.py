"""Random access to the records of TFRecord files.

A record is a length (uint64), its checksum (uint32), the data and the data's
checksum (uint32). Reading only the lengths gives every record's offset, so a
training run can take records in any order, and resume at any position.
"""

from __future__ import annotations

import struct
from typing import BinaryIO

from mtssl_tf.data import shard_index

_HEADER = struct.Struct("<QI")
_FOOTER_BYTES = 4


def build_tfrecord_index(paths: tuple[str, ...]) -> shard_index.ShardIndex:
    """Returns the index of all records in `paths`, in file order.

    Raises:
        ValueError: a file is cut off or is no TFRecord file.
        OSError: one cannot be read.
    """
    return shard_index.build_index(paths, _spans)


def _spans(path: str, file: BinaryIO, size: int) -> list[tuple[int, int]]:
    """Returns offset and length of each record's data."""
    spans = []
    position = 0
    while position < size:
        header = file.read(_HEADER.size)
        if not header.strip(b"\0"):
            raise ValueError(
                f"{path} is zeros from byte {position} on, as a download that "
                "was not finished. Fetch it again, or leave it out of the "
                "pattern."
            )
        data_start = position + _HEADER.size
        length = (
            _HEADER.unpack(header)[0] if len(header) == _HEADER.size else size
        )
        position = data_start + length + _FOOTER_BYTES
        if position > size:
            raise ValueError(
                f"{path} is cut off or no uncompressed TFRecord file: the "
                f"record at byte {data_start} would end at {position} of "
                f"{size}. Write the file again, or leave it out of the pattern."
            )
        spans.append((data_start, length))
        file.seek(position)
    return spans
