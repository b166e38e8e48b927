"""TF-Slim's list of classes: `labels.txt`, beside TFRecord files."""

from __future__ import annotations

import collections
import os

from mtssl_tf.data import remote
from mtssl_tf.files import whole_file
from mtssl_tf.process import paths

FILE = "labels.txt"
_MAX_BYTES = 2**24  # ours: the 22k classes of all of ImageNet have 1 MB


def load_class_list(folder: str | os.PathLike) -> dict[int, str]:
    """Returns the name of each class by the number that records have.

    TF-Slim writes a line `number:name` for each. Its ImageNet counts from 1,
    and keeps 0 for a background that has no picture. Two classes of one name
    (ImageNet has two cranes) are told apart by their numbers.

    Args:
        folder: of the records; without the list there are no classes.

    Raises:
        ValueError: a line is something else, or a number comes twice.
    """
    path = f"{os.fspath(folder)}/{FILE}"
    if paths.is_url(path):
        contents = remote.read(path) if remote.exists(path) else b""
    else:
        contents = b""
        if os.path.isfile(path):
            contents = whole_file.load(path, _MAX_BYTES)
    found: dict[int, str] = {}
    for line in contents.decode(errors="backslashreplace").splitlines():
        number, colon, name = line.partition(":")
        is_number = number.strip().isdecimal()
        if not (colon and is_number) or int(number) in found:
            raise ValueError(
                f"{path}: the line {line!r} is not NUMBER:NAME with a number "
                "of its own, as TF-Slim writes it. Mend it, or take the file "
                "away to read pictures without classes."
            )
        found[int(number)] = name.strip()
    times = collections.Counter(found.values())
    return {
        number: f"{name} ({number})".strip()
        if not name or times[name] > 1
        else name
        for number, name in sorted(found.items())
    }
