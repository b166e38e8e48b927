"""Opens TFDS's data sets; what it trips on is one line of a user's."""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
from typing import Any

from mtssl_tf.files import error_text


def open_builder(name: str, expected: str, **settings: Any) -> Any:
    """Returns the `DatasetBuilder` of a name, which downloads nothing yet.

    Args:
        name: such as 'mnist', 'voc/2007' or 'mnist:3.0.1'.
        expected: a name that would do, for messages.
        settings: as `tfds.builder` takes them.

    Raises:
        ValueError: TFDS has no such data set, or not in that version.
    """
    import tensorflow_datasets as tfds  # takes seconds, and most need it not

    try:
        with _told(name):
            return tfds.builder(name, **settings)
    except tfds.core.DatasetNotFoundError as error:  # names all that there are
        raise ValueError(
            f"TFDS knows no data set {name!r}. Expected one as {expected}."
        ) from error


def prepare(builder: Any, **settings: Any) -> None:
    """Downloads a data set where it is not there.

    Raises:
        ValueError: it cannot be had; some have to be fetched by hand.
    """
    with _told(builder.info.full_name):
        builder.download_and_prepare(**settings)


@contextlib.contextmanager
def _told(name: str) -> Iterator[None]:
    """Makes of TFDS's errors one line of a user's, but for one that is."""
    try:
        yield
    except (AssertionError, ImportError, OSError) as error:
        text = " ".join(str(error).split()) or error_text.first_line(error)
        raise ValueError(f"tfds:{name} cannot be had: {text[:400]}") from error
