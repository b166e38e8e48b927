"""Where pictures come from: a folder, a TFDS dataset or TFRecord files.

All three give the same thing: a number of encoded pictures that can be read
in any order.
"""

from __future__ import annotations

from collections.abc import Callable
import dataclasses
import functools
import glob
import hashlib
import os
import pathlib
import re

import numpy as np

from mtssl_tf.data import tfrecord_index
from mtssl_tf.lazy_imports import tf

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")

# Where the encoded picture lies in a record.
_SLIM_KEY = "image/encoded"
_TFDS_KEY = "image"
_TFDS_CLASS_KEY = "label"  # TFDS's own word
# NAME may carry a version, NAME:1.0.0; SPLIT may hold colons, train[:10%].
TFDS_SPEC = re.compile(r"(?P<name>[\w/]+(:[\d.*]+)?):(?P<split>[a-z].*)")


@dataclasses.dataclass(frozen=True)
class PictureSource:
    """Encoded pictures, to be read in any order.

    Attributes:
        description: what the user named.
        names: a name for each picture that a person can find.
        read: number of a picture -> its bytes.
        read_in_graph: int64 [] -> string [], the same as graph code.
        class_names: name of each class, where pictures have one.
        read_class_in_graph: int64 [] -> int32 [], the number of a picture's
            class; None where there are no classes.
    """

    description: str
    names: tuple[str, ...]
    read: Callable[[int], bytes]
    read_in_graph: Callable[[tf.Tensor], tf.Tensor]
    class_names: tuple[str, ...] = ()
    read_class_in_graph: Callable[[tf.Tensor], tf.Tensor] | None = None

    def __len__(self) -> int:
        return len(self.names)

    def subset(self, numbers: np.ndarray) -> PictureSource:
        """Returns the source of only the pictures `numbers`, int64 [n]."""

        def read_in_graph(index: tf.Tensor) -> tf.Tensor:
            return self.read_in_graph(tf.gather(numbers, index))

        read_class = self.read_class_in_graph
        return PictureSource(
            self.description,
            tuple(self.names[number] for number in numbers),
            lambda index: self.read(int(numbers[index])),
            read_in_graph,
            self.class_names,
            read_class
            and (lambda index: read_class(tf.gather(numbers, index))),
        )


def open_pictures(spec: str) -> PictureSource:
    """Opens what `--images` names.

    Args:
        spec: a folder, `tfds:NAME:SPLIT` or `tfrecord:GLOB`.

    Raises:
        FileNotFoundError: nothing is there.
        ValueError: there is no picture in it.
    """
    kind, _, rest = spec.partition(":")
    if kind == "tfds":
        return _open_tfds(spec, rest)
    if kind == "tfrecord":
        return _open_tfrecords(spec, rest)
    return _open_folder(spec)


def split_held_out(names: tuple[str, ...], share: float) -> np.ndarray:
    """Chooses what is kept out of training, by name alone.

    A name keeps its side when other files come and go. At least one is held
    out where `share` is above 0 and there is more than one.

    Returns:
        bool [n].
    """
    hashes = np.array(
        [
            int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big")
            for name in names
        ],
        np.float64,
    )
    is_held_out = hashes < share * 2**32
    if share > 0 and len(names) > 1 and not is_held_out.any():
        is_held_out[hashes.argmin()] = True
    if is_held_out.all():
        is_held_out[hashes.argmax()] = False
    return is_held_out


def _open_folder(folder: str) -> PictureSource:
    if not os.path.isdir(folder):
        raise FileNotFoundError(
            f"--images={folder} is no folder. Name a folder of pictures, "
            "tfds:NAME:SPLIT or tfrecord:GLOB."
        )
    paths = sorted(
        os.path.join(parent, file)
        for parent, _, files in os.walk(folder, followlinks=True)
        for file in files
        if pathlib.Path(file).suffix.lower() in PICTURE_SUFFIXES
    )
    if not paths:
        raise ValueError(
            f"--images={folder} holds no picture. Expected files ending in "
            f"{', '.join(PICTURE_SUFFIXES)}, in it or in folders below it."
        )
    path_tensor = np.array(paths)
    names = tuple(os.path.relpath(path, folder) for path in paths)
    # Folders in it may be classes; only who asks for classes needs to know.
    tops = [pathlib.Path(name).parts[0] for name in names]
    class_names, classes = np.unique(tops, return_inverse=True)
    has_classes = not set(tops) & set(names)  # no picture outside of them
    return PictureSource(
        folder,
        names,
        lambda index: pathlib.Path(paths[index]).read_bytes(),
        lambda index: tf.io.read_file(tf.gather(path_tensor, index)),
        tuple(class_names.tolist()) if has_classes else (),
        (lambda index: tf.gather(classes.astype(np.int32), index))
        if has_classes
        else None,
    )


def _open_tfrecords(spec: str, pattern: str) -> PictureSource:
    paths = tuple(sorted(glob.glob(pattern)))
    if not paths:
        raise FileNotFoundError(
            f"--images={spec}: no file matches {pattern!r}. Quote the "
            "pattern, and check its folder."
        )
    index = tfrecord_index.build_tfrecord_index(paths)
    return _records(spec, index, np.arange(len(index)), _SLIM_KEY)


def _open_tfds(spec: str, name_and_split: str) -> PictureSource:
    import tensorflow_datasets as tfds  # Slow, and only needed here.

    parts = TFDS_SPEC.fullmatch(name_and_split)
    if not parts:
        raise ValueError(
            f"--images={spec} should be tfds:NAME:SPLIT, for example "
            "tfds:imagenet2012:train."
        )
    name, split = parts["name"], parts["split"]
    builder = tfds.builder(name)
    if _TFDS_KEY not in builder.info.features:
        raise ValueError(
            f"--images={spec}: {name} has the features "
            f"{sorted(builder.info.features)}, and none is called "
            f"{_TFDS_KEY!r}. Choose a dataset of pictures."
        )
    builder.download_and_prepare(file_format="tfrecord")
    instructions = builder.info.splits[split].file_instructions
    index = tfrecord_index.build_tfrecord_index(
        tuple(str(instruction.filename) for instruction in instructions)
    )
    numbers = []
    start = 0
    for instruction in instructions:
        in_shard = instruction.examples_in_shard
        end = in_shard
        if instruction.take >= 0:
            end = instruction.skip + instruction.take
        numbers.append(start + np.arange(instruction.skip, end))
        start += in_shard
    source = _records(spec, index, np.concatenate(numbers), _TFDS_KEY)
    features = dict(builder.info.features)
    if not isinstance(
        features.get(_TFDS_CLASS_KEY), tfds.features.ClassLabel
    ):
        return source
    return dataclasses.replace(
        source,
        class_names=tuple(features[_TFDS_CLASS_KEY].names),
        read_class_in_graph=_class_reader(index, np.concatenate(numbers)),
    )


def _class_reader(
    index: tfrecord_index.TFRecordIndex, numbers: np.ndarray
) -> Callable[[tf.Tensor], tf.Tensor]:
    """Returns graph code that reads the class of a TFDS record."""

    def read(position: np.int64) -> np.int32:
        record = index.read(int(numbers[position]))
        example = tf.train.Example.FromString(record)
        return np.int32(
            example.features.feature[_TFDS_CLASS_KEY].int64_list.value[0]
        )

    def read_in_graph(position: tf.Tensor) -> tf.Tensor:
        number = tf.numpy_function(
            read, [position], tf.int32, stateful=False
        )
        return tf.ensure_shape(number, [])

    return read_in_graph


def _records(
    spec: str,
    index: tfrecord_index.TFRecordIndex,
    numbers: np.ndarray,
    key: str,
) -> PictureSource:
    """Returns the source of the records `numbers` of `index`."""
    if not len(numbers):
        raise ValueError(f"--images={spec} holds no record.")

    def read(position: int) -> bytes:
        record = index.read(int(numbers[position]))
        example = tf.train.Example.FromString(record)
        values = example.features.feature[key].bytes_list.value
        return values[0] if values else b""

    def read_in_graph(position: tf.Tensor) -> tf.Tensor:
        contents = tf.numpy_function(
            lambda number: np.array(read(int(number)), object),
            [position],
            tf.string,
            stateful=False,
        )
        return tf.ensure_shape(contents, [])

    return PictureSource(
        spec,
        tuple(map(functools.partial(_record_name, index), numbers)),
        read,
        read_in_graph,
    )


def _record_name(index: tfrecord_index.TFRecordIndex, number: int) -> str:
    return index.name(int(number))
