"""Several sets of pictures as one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mtssl_tf.data import pictures


def join(
    description: str, parts: Sequence[tuple[str, pictures.PictureSource]]
) -> pictures.PictureSource:
    """Puts sources one behind the other.

    Classes of one name are one class; where one of the parts has none, the
    whole has none.

    Args:
        description: what the user named.
        parts: sources, each with what stands before its pictures' names, so
            that no two pictures have one name.
    """
    sources = [source for _, source in parts]
    ends = np.cumsum([len(source) for source in sources])
    starts = ends - [len(source) for source in sources]

    def part_of(index: int) -> tuple[pictures.PictureSource, int]:
        part = int(np.searchsorted(ends, index, side="right"))
        return sources[part], index - int(starts[part])

    def fingerprint(index: int) -> str:
        source, own = part_of(index)
        return source.fingerprint(own)

    def read(index: int) -> bytes:
        source, own = part_of(index)
        return source.read(own)

    def read_ahead(indices: np.ndarray) -> None:
        of_parts = np.searchsorted(ends, indices, side="right")
        for number, source in enumerate(sources):
            if source.read_ahead is not None:
                own = indices[of_parts == number] - starts[number]
                source.read_ahead(own)

    class_names: tuple[str, ...] = ()
    if all(source.num_classes for source in sources):
        names = {name for source in sources for name in source.class_names}
        class_names = tuple(sorted(names))

    number_of = {name: number for number, name in enumerate(class_names)}

    def read_class(index: int) -> int:
        source, own = part_of(index)
        if source.read_class is None:
            raise ValueError(f"{source.description} has no classes.")
        return number_of[source.class_names[source.read_class(own)]]

    return pictures.PictureSource(
        description=description,
        names=tuple(
            [f"{start}{name}" for start, each in parts for name in each.names]
        ),
        read=read,
        fingerprint=fingerprint,
        class_names=class_names,
        read_class=read_class if class_names else None,
        read_ahead=(
            read_ahead if any(each.read_ahead for each in sources) else None
        ),
    )
