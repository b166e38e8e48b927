"""Reads pictures, and classes where there are any, from a TFDS split."""

from __future__ import annotations

import dataclasses
import re

import numpy as np

from mtssl_tf.data import pictures
from mtssl_tf.data import tfds_builder
from mtssl_tf.data import tfrecord_index
from mtssl_tf.data import tfrecords
from mtssl_tf.files import picture

_IMAGE_KEY = "image"
_CLASS_KEY = "label"  # TFDS's own word
# NAME may carry a version, NAME:1.0.0; SPLIT may hold colons, train[:10%].
_SPEC = re.compile(r"(?P<name>[\w/]+(:[\d.*]+)?):(?P<split>[a-z].*)")


def open_split(
    name_and_split: str, records_in: str | None = None
) -> pictures.PictureSource:
    """Opens `NAME:SPLIT`, downloading it where it is not there.

    Args:
        name_and_split: of a dataset.
        records_in: as `ShardIndex.names` takes it.

    Raises:
        ValueError: that is no split's name, or there are no pictures.
    """
    import tensorflow_datasets as tfds  # slow, and only needed here

    spec = f"tfds:{name_and_split}"
    parts = _SPEC.fullmatch(name_and_split)
    if not parts:
        raise ValueError(
            f"{spec} should be tfds:NAME:SPLIT, for example "
            "tfds:imagenet2012:train."
        )
    name, split = parts["name"], parts["split"]
    builder = tfds_builder.open_builder(name, "imagenet2012")
    features = dict(builder.info.features)
    if _IMAGE_KEY not in features:
        raise ValueError(
            f"{spec}: {name} has the features {sorted(features)}, and none "
            f"is called {_IMAGE_KEY!r}. Choose a dataset of pictures."
        )
    tfds_builder.prepare(builder, file_format="tfrecord")
    instructions = builder.info.splits[split].file_instructions
    records = tfrecords.Records(
        tfrecord_index.build_tfrecord_index(
            tuple(str(instruction.filename) for instruction in instructions)
        )
    )
    numbers = _record_numbers(instructions)
    source = dataclasses.replace(
        tfrecords.open_records(spec, records, numbers, _IMAGE_KEY, records_in),
        fingerprint=lambda position: (
            f"{builder.info.full_name} {split} {position}"
        ),
    )
    classes = features.get(_CLASS_KEY)
    if not isinstance(classes, tfds.features.ClassLabel):
        return source
    first = records.whole_number(int(numbers[0]), _CLASS_KEY)
    if first is None or first < 0:
        return source  # as ImageNet's test: TFDS has -1 for what nobody tells

    def read_class(position: int) -> int:
        number = records.whole_number(int(numbers[position]), _CLASS_KEY)
        if number is None:
            raise picture.UnusablePictureError(f"it has no {_CLASS_KEY}")
        return number

    return dataclasses.replace(
        source, class_names=tuple(classes.names), read_class=read_class
    )


def _record_numbers(instructions) -> np.ndarray:
    """Returns which records of the files a split holds, int64 [n]."""
    numbers, start = [], 0
    for instruction in instructions:
        in_shard = instruction.examples_in_shard
        end = in_shard
        if instruction.take >= 0:
            end = instruction.skip + instruction.take
        numbers.append(start + np.arange(instruction.skip, end))
        start += in_shard
    return np.concatenate(numbers)
