"""From what a user names to a source of pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mtssl_tf.data import folder
from mtssl_tf.data import joined
from mtssl_tf.data import listing
from mtssl_tf.data import pictures
from mtssl_tf.data import tar_shards
from mtssl_tf.data import tfds_splits
from mtssl_tf.data import tfrecords
from mtssl_tf.files import names as names_lib
from mtssl_tf.files import walk
from mtssl_tf.process import paths

# Where classes come from, by the kind of source that need not have them.
_OF_CLASSES = {
    "tfds": "Choose a dataset with a 'label' that is a ClassLabel.",
    "tfrecord": "Put TF-Slim's labels.txt (NUMBER:NAME a line) beside them.",
}


def open_pictures(
    spec: str,
    files_below: Callable[..., walk.Found] = listing.files_below,
    records_in: str | None = None,
) -> pictures.PictureSource:
    """Opens what `--images` names.

    Args:
        spec: a folder, a URL of one, `tfds:NAME:SPLIT`, `tfrecord:GLOB`,
            `webdataset:GLOB`, `list:FILE`, or several with commas between.
        files_below: finds the files of a folder, a URL or a list.
        records_in: as `ShardIndex.names` takes it.

    Raises:
        FileNotFoundError: nothing is there.
        ValueError: there is no picture in it, or a URL's package is missing.
        OSError: a URL cannot be reached.
    """
    parts = paths.split(spec)
    if len(parts) == 1:
        return _open_one(parts[0], files_below, records_in)
    sources = [_open_one(part, files_below, records_in) for part in parts]
    starts = map(names_lib.as_text, _starts(parts))
    return joined.join(names_lib.as_text(spec), list(zip(starts, sources)))


def open_labelled(spec: str) -> pictures.PictureSource:
    """Opens pictures of which each has a class.

    Args:
        spec: as `open_pictures` takes it; a folder has a folder a class.

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: there is no class, or one has no picture.
    """
    if paths.local_folders(spec) == [spec]:
        return folder.open_class_folders(spec)
    source = open_pictures(spec)
    if not source.num_classes:
        kind = spec.partition(":")[0]
        remedy = _OF_CLASSES.get(kind, "Sort them into a folder a class.")
        raise ValueError(f"{spec}: its pictures have no classes. {remedy}")
    return source


def _open_one(
    spec: str,
    files_below: Callable[..., walk.Found],
    records_in: str | None,
) -> pictures.PictureSource:
    if spec.startswith(paths.TFDS):
        return tfds_splits.open_split(spec.removeprefix(paths.TFDS), records_in)
    if spec.startswith(paths.RECORDS):
        return tfrecords.open_tfrecords(
            spec.removeprefix(paths.RECORDS), records_in
        )
    if spec.startswith(paths.SHARDS) or paths.is_shard(spec):
        return tar_shards.open_shards(spec)
    return folder.open_folder(spec, files_below)


def _starts(parts: Sequence[str]) -> list[str]:
    """Returns what names of pictures begin with, one for each of the parts.

    The last part of a path, which stays when the data moves.
    """
    starts = [f"{part.rstrip('/').rpartition('/')[2]}/" for part in parts]
    return [
        start if starts.count(start) == 1 else f"{number}:{start}"
        for number, start in enumerate(starts)
    ]


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
