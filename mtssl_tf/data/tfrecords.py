"""Reads pictures from TFRecord files with the keys of TF-Slim's ImageNet."""

from __future__ import annotations

import bisect
import dataclasses
import os

from google.protobuf import message
import numpy as np

from mtssl_tf.data import class_list
from mtssl_tf.data import pictures
from mtssl_tf.data import remote_reads
from mtssl_tf.data import shard_index
from mtssl_tf.data import tfrecord_index
from mtssl_tf.files import picture
from mtssl_tf.lazy_imports import tf

_SLIM_KEY = "image/encoded"
_SLIM_CLASS_KEY = "image/class/label"


def open_tfrecords(pattern: str) -> pictures.PictureSource:
    """Opens all records of the files that match a pattern.

    Their pictures have classes where TF-Slim's `labels.txt` lies beside the
    first file.

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
    index = tfrecord_index.build_tfrecord_index(paths)
    numbers = np.arange(len(index))
    source = open_records(f"tfrecord:{pattern}", index, numbers, _SLIM_KEY)
    classes = class_list.load_class_list(os.path.dirname(paths[0]) or ".")
    if not classes:
        return source
    known = list(classes)

    def read_class(position: tf.Tensor) -> tf.Tensor:
        label = tf.numpy_function(
            lambda number: _class_of(index, int(number), known),
            [position],
            tf.int32,
            stateful=False,
        )
        return tf.ensure_shape(label, [])

    _class_of(index, 0, known)
    return dataclasses.replace(
        source,
        class_names=tuple(classes.values()),
        read_class_in_graph=read_class,
    )


def _class_of(
    index: shard_index.ShardIndex, number: int, known: list[int]
) -> np.int32:
    """Returns which of `known`, ascending, a record's class is."""
    labels = _feature(index, number, _SLIM_CLASS_KEY).int64_list.value
    label = labels[0] if labels else None
    if label not in known:
        raise picture.UnusablePictureError(
            f"{index.name(number)}: {_SLIM_CLASS_KEY} is {label}, which "
            f"{class_list.FILE} does not have. Take the list that was written "
            "with these records."
        )
    return np.int32(bisect.bisect_left(known, label))


def open_records(
    description: str,
    index: shard_index.ShardIndex,
    numbers: np.ndarray,
    key: str,
) -> pictures.PictureSource:
    """Returns the source of the records `numbers` of `index`.

    Args:
        description: what the user named.
        index: of the files.
        numbers: int64 [n], records in their order.
        key: where the encoded picture lies in a record.

    Raises:
        ValueError: there is no record.
    """
    if not len(numbers):
        raise ValueError(f"--images={description} holds no record.")

    def read(position: int) -> bytes:
        values = _feature(index, int(numbers[position]), key).bytes_list.value
        return values[0] if values else b""

    far = remote_reads.RemoteReads(read) if index.is_far else None
    reader = far.read if far else read
    return pictures.PictureSource(
        description=description,
        names=tuple(index.name(int(number)) for number in numbers),
        read=reader,
        read_in_graph=pictures.in_graph(reader),
        fingerprint=lambda position: (
            f"record {numbers[position]} of "
            f"{index.lengths[numbers[position]]} bytes"
        ),
        read_ahead=far.read_ahead if far else None,
    )


def read_int_in_graph(
    index: shard_index.ShardIndex,
    numbers: np.ndarray,
    key: str,
    position: tf.Tensor,
) -> tf.Tensor:
    """Returns int32 [], the whole number under `key` of a record."""

    def read(position: np.int64) -> np.int32:
        feature = _feature(index, int(numbers[position]), key)
        return np.int32(feature.int64_list.value[0])

    number = tf.numpy_function(read, [position], tf.int32, stateful=False)
    return tf.ensure_shape(number, [])


def _feature(
    index: shard_index.ShardIndex, number: int, key: str
) -> tf.train.Feature:
    try:
        example = tf.train.Example.FromString(index.read(number))
    except message.DecodeError as error:
        raise picture.UnusablePictureError(
            "the record is no tf.train.Example"
        ) from error
    return example.features.feature[key]
