"""Reads pictures from TFRecord files with the keys of TF-Slim's ImageNet."""

from __future__ import annotations

from google.protobuf import message
import numpy as np

from mtssl_tf.data import pictures
from mtssl_tf.data import tfrecord_index
from mtssl_tf.files import patterns
from mtssl_tf.files import picture
from mtssl_tf.lazy_imports import tf

_SLIM_KEY = "image/encoded"


def open_tfrecords(pattern: str) -> pictures.PictureSource:
    """Opens all records of the files that match a pattern.

    Raises:
        FileNotFoundError: no file matches.
        ValueError: a file is no TFRecord file, or there is no record.
    """
    paths = tuple(patterns.matching_files(pattern))
    if not paths:
        raise FileNotFoundError(
            f"--images=tfrecord:{pattern}: no file matches {pattern!r}. Quote "
            "the pattern, and check its folder."
        )
    index = tfrecord_index.build_tfrecord_index(paths)
    return open_records(
        f"tfrecord:{pattern}", index, np.arange(len(index)), _SLIM_KEY
    )


def open_records(
    description: str,
    index: tfrecord_index.TFRecordIndex,
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

    def read_in_graph(position: tf.Tensor) -> tf.Tensor:
        contents = tf.numpy_function(
            lambda number: np.array(read(int(number)), object),
            [position],
            tf.string,
            stateful=False,
        )
        return tf.ensure_shape(contents, [])

    return pictures.PictureSource(
        description=description,
        names=tuple(index.name(int(number)) for number in numbers),
        read=read,
        read_in_graph=read_in_graph,
        fingerprint=lambda position: (
            f"record {numbers[position]} of "
            f"{index.lengths[numbers[position]]} bytes"
        ),
    )


def read_int_in_graph(
    index: tfrecord_index.TFRecordIndex,
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
    index: tfrecord_index.TFRecordIndex, number: int, key: str
) -> tf.train.Feature:
    try:
        example = tf.train.Example.FromString(index.read(number))
    except message.DecodeError as error:
        raise picture.UnusablePictureError(
            "the record is no tf.train.Example"
        ) from error
    return example.features.feature[key]
