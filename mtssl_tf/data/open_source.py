"""From what a user names to a source of pictures."""

from __future__ import annotations

from collections.abc import Callable

from mtssl_tf.data import folder
from mtssl_tf.data import pictures
from mtssl_tf.data import tfds_splits
from mtssl_tf.data import tfrecords
from mtssl_tf.files import names as names_lib
from mtssl_tf.files import walk

# Where classes come from, by the kind of source that need not have them.
_OF_CLASSES = {
    "tfds": "Choose a dataset with a 'label' that is a ClassLabel.",
    "tfrecord": "Put TF-Slim's labels.txt (NUMBER:NAME a line) beside them.",
}


def open_pictures(
    spec: str, files_below: Callable[..., walk.Found] = walk.files_below
) -> pictures.PictureSource:
    """Opens what `--images` names.

    Args:
        spec: a folder, `tfds:NAME:SPLIT` or `tfrecord:GLOB`.
        files_below: finds the files of a folder.

    Raises:
        FileNotFoundError: nothing is there.
        ValueError: there is no picture in it.
    """
    kind, _, rest = spec.partition(":")
    if kind == "tfds":
        return tfds_splits.open_split(rest)
    if kind == "tfrecord":
        return tfrecords.open_tfrecords(rest)
    return folder.open_folder(spec, files_below)


def open_labelled(spec: str) -> pictures.PictureSource:
    """Opens pictures of which each has a class.

    Args:
        spec: a folder with a folder a class, `tfds:NAME:SPLIT`, or
            `tfrecord:GLOB` with TF-Slim's keys and labels.txt.

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: there is no class, or one has no picture.
    """
    remedy = _OF_CLASSES.get(spec.partition(":")[0])
    if remedy is None:
        return folder.open_class_folders(spec)
    source = open_pictures(spec)
    if not source.num_classes:
        raise ValueError(f"{spec}: its pictures have no classes. {remedy}")
    return source


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
        f"only in {where}: {names_lib.some(names)}"
        for where, names in only.items()
        if names
    ]
    raise ValueError(
        "Training and test pictures must have the same classes in the same "
        f"order; {'; '.join(differences) or 'the orders differ'}."
    )
