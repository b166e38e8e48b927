"""Reads pictures from TFRecord files with the keys of TF-Slim's ImageNet."""

from __future__ import annotations

import bisect
from collections.abc import Mapping
import dataclasses
import functools
import os

from google.protobuf import message
import numpy as np

from mtssl_tf.data import class_list
from mtssl_tf.data import pictures
from mtssl_tf.data import remote_reads
from mtssl_tf.data import shard_index
from mtssl_tf.data import tfrecord_index
from mtssl_tf.files import names
from mtssl_tf.files import picture
from mtssl_tf.lazy_imports import tf

_SLIM_KEY = "image/encoded"
_SLIM_CLASS_KEY = "image/class/label"
_NUM_PARSED = 16  # ours: records at a time, of the pictures being decoded


def open_tfrecords(
    pattern: str, records_in: str | None = None
) -> pictures.PictureSource:
    """Opens all records of the files that match a pattern.

    Their pictures have classes where TF-Slim's `labels.txt` lies beside the
    first file.

    Args:
        pattern: of paths or URLs.
        records_in: as `ShardIndex.names` takes it.

    Raises:
        FileNotFoundError: no file matches.
        ValueError: a file is no TFRecord file, there is no record, or the
            first one's class is not in the list.
    """
    paths = tuple(shard_index.matching_files(pattern))
    if not paths:
        raise FileNotFoundError(
            f"--images=tfrecord:{pattern}: no file matches {pattern!r}. Quote "
            "the pattern, and check its folder."
        )
    records = Records(tfrecord_index.build_tfrecord_index(paths))
    numbers = np.arange(len(records.index))
    source = open_records(
        f"tfrecord:{pattern}", records, numbers, _SLIM_KEY, records_in
    )
    classes = class_list.load_class_list(os.path.dirname(paths[0]) or ".")
    if not classes:
        return source
    known = list(classes)
    _class_of(records, 0, known)

    return dataclasses.replace(
        source,
        class_names=tuple(classes.values()),
        read_class=lambda position: _class_of(records, position, known),
    )


class Records:
    """Records of some files; over a network they are kept for a while.

    A picture and its class are so read together.

    Attributes:
        index: of the files.
        read_ahead: numbers of records, int64 [n] -> None; None where they are
            on this machine.
    """

    def __init__(self, index: shard_index.ShardIndex) -> None:
        self.index = index
        far = remote_reads.RemoteReads(index.read) if index.is_far else None
        self._read = far.read if far else index.read
        self.read_ahead = far.read_ahead if far else None
        # For a picture, and its class when it is decoded.
        self._features = functools.lru_cache(_NUM_PARSED)(self._parse)

    def feature(self, number: int, key: str) -> tf.train.Feature:
        """Returns what record `number` has under a key.

        Raises:
            UnusablePictureError: it is no tf.train.Example.
            OSError: it cannot be read.
        """
        return self._features(number)[key]

    def whole_number(self, number: int, key: str) -> int | None:
        """Returns the number that record `number` has under a key, or None.

        Raises:
            UnusablePictureError: it is no tf.train.Example.
            OSError: it cannot be read.
        """
        values = self.feature(number, key).int64_list.value
        return values[0] if values else None

    def _parse(self, number: int) -> Mapping[str, tf.train.Feature]:
        try:
            example = tf.train.Example.FromString(self._read(number))
        except message.DecodeError as error:
            raise picture.UnusablePictureError(
                "the record is no tf.train.Example"
            ) from error
        return example.features.feature


def _class_of(records: Records, number: int, known: list[int]) -> int:
    """Returns which of `known`, ascending, a record's class is."""
    label = records.whole_number(number, _SLIM_CLASS_KEY)
    if label not in known:
        raise picture.UnusablePictureError(
            f"{records.index.name(number)}: {_SLIM_CLASS_KEY} is {label}, "
            f"which {class_list.FILE} does not have. Take the list that was "
            "written with these records."
        )
    return bisect.bisect_left(known, label)


def open_records(
    description: str,
    records: Records,
    numbers: np.ndarray,
    key: str,
    records_in: str | None,
) -> pictures.PictureSource:
    """Returns the source of the records `numbers`.

    Args:
        description: what the user named.
        records: of the files.
        numbers: int64 [n], records in their order.
        key: where the encoded picture lies in a record.
        records_in: as `ShardIndex.names` takes it.

    Raises:
        ValueError: there is no record.
    """
    if not len(numbers):
        raise ValueError(f"--images={description} holds no record.")
    index, read_records_ahead = records.index, records.read_ahead

    def read(position: int) -> bytes:
        values = records.feature(int(numbers[position]), key).bytes_list.value
        return values[0] if values else b""

    return pictures.PictureSource(
        description=names.as_text(description),
        names=tuple(index.names(numbers, records_in)),
        read=read,
        fingerprint=lambda position: (
            f"record {numbers[position]} of "
            f"{index.lengths[numbers[position]]} bytes"
        ),
        read_ahead=read_records_ahead
        and (lambda positions: read_records_ahead(numbers[positions])),
    )
