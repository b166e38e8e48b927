"""Pictures with classes: a folder with a folder a class, or a TFDS split."""

from __future__ import annotations

from collections.abc import Callable, Sequence
import dataclasses
import hashlib
import pathlib

import numpy as np

from mtssl_tf.data.picture_source import PICTURE_SUFFIXES
from mtssl_tf.data.picture_source import TFDS_SPEC
from mtssl_tf.lazy_imports import tf

_MAX_NAMED = 8  # classes that a message names
_TFDS_IMAGE = "image"
_TFDS_CLASS = "label"  # TFDS's own word
_TFDS_SHUFFLE_BUFFER = 10_000  # ours: encoded pictures, about 1 GB of ImageNet


@dataclasses.dataclass(frozen=True)
class LabelledPictures:
    """Encoded pictures, each with the number of its class.

    Attributes:
        description: what the user named.
        class_names: name of each class by number.
        num_pictures: how many there are.
        digest: changes when pictures are added, removed or replaced.
        stream: shuffle seed, or None for a fixed order -> dataset of
            (contents string [], class int32 []).
    """

    description: str
    class_names: tuple[str, ...]
    num_pictures: int
    digest: str
    stream: Callable[[int | None], tf.data.Dataset]

    @property
    def num_classes(self) -> int:
        return len(self.class_names)


def open_labelled(spec: str) -> LabelledPictures:
    """Opens a folder with a folder a class, or `tfds:NAME:SPLIT`.

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: it has no class folder, or a class has no picture.
    """
    kind, _, rest = spec.partition(":")
    if kind == "tfds":
        return _open_tfds(spec, rest)
    paths_by_class = find_class_folders(spec)
    paths = [path for paths in paths_by_class.values() for path in paths]
    classes = [
        number
        for number, paths in enumerate(paths_by_class.values())
        for _ in paths
    ]
    return from_paths(spec, tuple(paths_by_class), paths, classes)


def find_class_folders(folder: str) -> dict[str, list[pathlib.Path]]:
    """Lists the pictures of every class, in sorted order.

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: it has no class folder, or a class has no picture.
    """
    root = pathlib.Path(folder)
    if not root.is_dir():
        raise FileNotFoundError(
            f"{folder} is no folder. Name a folder with a folder a class, or "
            "tfds:NAME:SPLIT."
        )
    class_folders = sorted(
        path
        for path in root.iterdir()
        if path.is_dir() and not path.name.startswith(".")
    )
    if not class_folders:
        raise ValueError(
            f"{folder} holds no folders. Expected a folder a class, with the "
            "class's pictures in it."
        )
    paths_by_class = {
        path.name: sorted(
            file
            for file in path.rglob("*")
            if file.suffix.lower() in PICTURE_SUFFIXES
        )
        for path in class_folders
    }
    empty = [name for name, paths in paths_by_class.items() if not paths]
    if empty:
        raise ValueError(
            f"In {folder} these classes hold no picture: {_some(empty)}. "
            f"Remove their folders, or add {', '.join(PICTURE_SUFFIXES)}."
        )
    return paths_by_class


def from_paths(
    description: str,
    class_names: tuple[str, ...],
    paths: Sequence[pathlib.Path],
    classes: Sequence[int],
) -> LabelledPictures:
    """Makes labelled pictures of files; `classes` has a number for each."""
    files = np.array([str(path) for path in paths])
    numbers = np.array(classes, np.int32)
    lines = (
        f"{class_names[number]}/{path.name} {path.stat().st_size}\n"
        for path, number in zip(paths, numbers)
    )
    digest = hashlib.sha256("".join(lines).encode()).hexdigest()

    def stream(shuffle_seed: int | None) -> tf.data.Dataset:
        order = np.arange(len(files))
        if shuffle_seed is not None:
            np.random.default_rng(shuffle_seed).shuffle(order)
        return tf.data.Dataset.from_tensor_slices(
            (files[order], numbers[order])
        ).map(
            lambda path, number: (tf.io.read_file(path), number),
            tf.data.AUTOTUNE,
        )

    return LabelledPictures(
        description, class_names, len(files), digest, stream
    )


def check_same_classes(
    train_names: tuple[str, ...], test_names: tuple[str, ...]
) -> None:
    """Refuses classes that only training or only test pictures have.

    Raises:
        ValueError: naming them.
    """
    if train_names == test_names:
        return
    only = {
        "training": sorted(set(train_names) - set(test_names)),
        "test": sorted(set(test_names) - set(train_names)),
    }
    differences = [
        f"only in {where}: {_some(names)}"
        for where, names in only.items()
        if names
    ]
    raise ValueError(
        "Training and test pictures must have the same classes in the same "
        f"order; {'; '.join(differences) or 'the orders differ'}."
    )


def _some(names: Sequence[str]) -> str:
    """The first names, and how many more there are."""
    shown = ", ".join(names[:_MAX_NAMED])
    more = len(names) - _MAX_NAMED
    return f"{shown} and {more} more" if more > 0 else shown


def _open_tfds(spec: str, name_and_split: str) -> LabelledPictures:
    import tensorflow_datasets as tfds  # slow, and only needed here

    parts = TFDS_SPEC.fullmatch(name_and_split)
    if not parts:
        raise ValueError(
            f"{spec} should be tfds:NAME:SPLIT, for example "
            "tfds:imagenet2012:train."
        )
    name, split = parts["name"], parts["split"]
    builder = tfds.builder(name)
    features = builder.info.features
    if not {_TFDS_IMAGE, _TFDS_CLASS} <= set(features):
        raise ValueError(
            f"{spec}: {name} has the features {sorted(features)}. Choose a "
            f"dataset with {_TFDS_IMAGE!r} and {_TFDS_CLASS!r}."
        )
    builder.download_and_prepare()
    num_pictures = builder.info.splits[split].num_examples
    facts = f"{builder.info.full_name} {split} {num_pictures}"

    def stream(shuffle_seed: int | None) -> tf.data.Dataset:
        # The files' order is not shuffled: TFDS has shuffled the records.
        dataset = builder.as_dataset(
            split=split,
            decoders={_TFDS_IMAGE: tfds.decode.SkipDecoding()},
            shuffle_files=False,
        )
        if shuffle_seed is not None:
            buffer = min(num_pictures, _TFDS_SHUFFLE_BUFFER)
            dataset = dataset.shuffle(buffer, shuffle_seed)
        return dataset.map(
            lambda record: (
                record[_TFDS_IMAGE],
                tf.cast(record[_TFDS_CLASS], tf.int32),
            )
        )

    return LabelledPictures(
        spec,
        tuple(features[_TFDS_CLASS].names),
        num_pictures,
        hashlib.sha256(facts.encode()).hexdigest(),
        stream,
    )
