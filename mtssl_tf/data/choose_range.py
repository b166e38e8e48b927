"""What is black and white in pictures of more than 8 bits: `--value_range`.

By the values of some of the pictures, spread evenly over the source. One range
for all of them, so that a bright picture stays brighter than a dark one.
"""

from __future__ import annotations

from collections.abc import Iterator

from absl import logging
import numpy as np

from mtssl_tf.data import pictures as pictures_lib
from mtssl_tf.files import names as names_lib
from mtssl_tf.files import picture
from mtssl_tf.files import value_range as value_range_lib

_NUM_PICTURES = 64  # ours
_NUM_VALUES = 16_384  # ours: of a picture
# Kinds that have 8 bits always; where there are others, those are looked at.
_EIGHT_BIT_SUFFIXES = (".jpg", ".jpeg", ".webp", ".bmp", ".gif")


def choose(
    source: pictures_lib.PictureSource,
) -> value_range_lib.Range | None:
    """Chooses black and white by percentiles, and says so in the log.

    Returns:
        The range; None where every picture that was looked at has 8 bits.

    Raises:
        ValueError: there are such pictures, and none of them can be used.
    """
    samples: list[np.ndarray] = []
    refused: list[str] = []
    for name, values in _looked_at(source):
        if isinstance(values, str):
            refused.append(f"{names_lib.shown(name)}: {values}")
        else:
            samples.append(values)
    if not samples:
        if not refused:
            return None
        raise ValueError(
            f"No picture of more than 8 bits in {source.description} can be "
            f"used; the first is {refused[0]}."
        )
    try:
        chosen = value_range_lib.of_values(np.concatenate(samples))
    except value_range_lib.NoContrastError as error:
        raise ValueError(
            f"{source.description}: in the {len(samples)} pictures of more "
            f"than 8 bits that were looked at {error}. Check how they were "
            "saved, or give --value_range=MIN:MAX."
        ) from error
    logging.info(
        "--value_range=%s: black and white of pictures of more than 8 bits, "
        "the 0.1 and 99.9 percentiles of %d of them. --value_range=MIN:MAX "
        "sets others.",
        value_range_lib.shown(chosen),
        len(samples),
    )
    return chosen


def settled(
    source: pictures_lib.PictureSource,
    own: value_range_lib.Choice | None,
) -> pictures_lib.PictureSource:
    """Returns pictures as a trunk wants them.

    Args:
        source: the pictures.
        own: the range that is kept with the trunk, or that was asked for;
            None where it has seen 8 bits alone, or AUTO: one is chosen by
            these pictures.

    Raises:
        ValueError: as `choose`.
    """
    is_open = own in (None, value_range_lib.AUTO)
    return source.in_range(choose(source) if is_open else own)


def _looked_at(
    source: pictures_lib.PictureSource,
) -> Iterator[tuple[str, np.ndarray | str]]:
    """Yields a name with finite values, or with why there are none.

    Pictures of 8 bits are left out, and so is what is no picture at all.
    """
    candidates = [
        number
        for number, name in enumerate(source.names)
        if not name.lower().endswith(_EIGHT_BIT_SUFFIXES)
    ]
    count = min(len(candidates), _NUM_PICTURES)
    for place in np.linspace(0, len(candidates) - 1, count).round():
        number = candidates[int(place)]
        try:
            values = picture.decode_values(source.read(number))
        except picture.UnusableDeepError as error:
            yield source.names[number], str(error)
        except (picture.UnusablePictureError, OSError):
            continue  # named where it is skipped
        else:
            if values is not None:
                flat = values.reshape(-1)
                yield source.names[number], flat[:: _stride(flat.size)]


def _stride(num_values: int) -> int:
    """Returns a stride that is odd, so as not to stay in one channel."""
    stride = -(-num_values // _NUM_VALUES)
    while stride % 2 == 0 or stride % 3 == 0:
        stride += 1
    return stride
