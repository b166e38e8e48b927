"""Encoded pictures as a source, wherever they lie.

Readers (`folder.py`, `tfrecords.py`, `tfds_splits.py`) make a `PictureSource`;
this file decodes what they read. Training streams positions of an endless
order and replaces what is broken; evaluations stream each picture once and
leave out what is broken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
import dataclasses
import hashlib
import itertools

import numpy as np

from mtssl_tf.data import order
from mtssl_tf.data import skipped as skipped_lib
from mtssl_tf.files import names as names_lib
from mtssl_tf.files import picture
from mtssl_tf.files import value_range as value_range_lib
from mtssl_tf.lazy_imports import tf
from mtssl_tf.process import plain_graphs

# ours: after so many broken pictures in a row something else is wrong.
_MAX_ATTEMPTS = 16
# A prime, so that the substitutes of neighbours are not neighbours.
_ATTEMPT_STRIDE = 1_000_003
_NUM_READ_AHEAD = 64  # ours: pictures of a source that takes long to read
# A picture, uint8 [H, W, 3], its class, and whether there is one.
_Read = tuple[np.ndarray, np.int32, np.bool_]


@dataclasses.dataclass(frozen=True)
class PictureSource:
    """Encoded pictures, to be read in any order.

    Attributes:
        description: what the user named.
        names: a name for each picture that a person can find.
        read: number of a picture -> its bytes.
        fingerprint: number of a picture -> text that changes with the
            picture, at no great cost.
        class_names: name of each class, where pictures have one.
        read_class: number of a picture -> that of its class; None where there
            are no classes.
        read_ahead: numbers of pictures, int64 [n] -> None; reads them, many
            at once, so that `read` finds them. None where that takes no time.
        value_range: what is black and white in pictures of more than 8 bits
            a value; None takes all that their type can be.
    """

    description: str
    names: tuple[str, ...]
    read: Callable[[int], bytes]
    fingerprint: Callable[[int], str]
    class_names: tuple[str, ...] = ()
    read_class: Callable[[int], int] | None = None
    read_ahead: Callable[[np.ndarray], None] | None = None
    value_range: value_range_lib.Choice | None = None

    def __len__(self) -> int:
        return len(self.names)

    @property
    def num_classes(self) -> int:
        """K; 0 where pictures have no class."""
        return len(self.class_names)

    def in_range(
        self, value_range: value_range_lib.Choice | None
    ) -> PictureSource:
        """Returns the same pictures with another black and white.

        Args:
            value_range: as a trunk's `InputContract` has it.
        """
        return dataclasses.replace(self, value_range=value_range)

    def decode(
        self, number: int, smallest_side_px: int | None = None
    ) -> np.ndarray:
        """Returns a picture, uint8 [H, W, 3] RGB.

        Args:
            number: of the picture.
            smallest_side_px: as `Source` has it.

        Raises:
            UnusablePictureError, OSError: it cannot be read.
        """
        return picture.decode_rgb(
            self.read(number), self.value_range, smallest_side_px
        )

    def digest(self) -> str:
        """Returns a digest that changes when pictures come, go or change."""
        digest = hashlib.sha256()
        for number in range(len(self)):
            digest.update(names_lib.as_bytes(f"{self.fingerprint(number)}\n"))
        return digest.hexdigest()

    def subset(self, numbers: np.ndarray) -> PictureSource:
        """Returns the source of only the pictures `numbers`, int64 [n]."""
        read_class, read_ahead = self.read_class, self.read_ahead
        return dataclasses.replace(
            self,
            names=tuple(map(self.names.__getitem__, numbers.tolist())),
            read=lambda index: self.read(int(numbers[index])),
            fingerprint=lambda index: self.fingerprint(int(numbers[index])),
            read_class=read_class
            and (lambda index: read_class(int(numbers[index]))),
            read_ahead=read_ahead
            and (lambda indices: read_ahead(numbers[indices])),
        )

    def numbered(self) -> PictureSource:
        """Returns the same pictures with their numbers in place of classes.

        For who must know which of them were skipped.
        """
        return dataclasses.replace(
            self,
            class_names=(),
            read_class=lambda index: index,
        )

    def close(self) -> None:
        """Does nothing: a picture is read in no time."""

    def raise_failure(self) -> None:
        """Does nothing: what fails here is a picture, which is skipped."""

    @plain_graphs.traces_as_written
    def stream(
        self,
        positions: tf.data.Dataset,
        seed: int,
        skipped: skipped_lib.SkippedExamples,
        smallest_side_px: int | None = None,
        num_frames: int = 1,
    ) -> tf.data.Dataset:
        """Returns the decoded picture at each position.

        Args:
            positions: int64 [] positions in the order of `seed`.
            seed: the run's seed.
            skipped: gets the names of the pictures that could not be used.
            smallest_side_px: as `Source` has it.
            num_frames: 1: a picture has no more.

        Raises:
            ValueError: `num_frames` is above 1.

        Returns:
            dicts of `image`, uint8 [H, W, 3] RGB, `position`, int64 [],
            `class_names`, string [K], `class`, int32 [] in [0, K), and
            `num_pictures`, int64 [], of the source. Where it has no classes,
            K is 0 and `class` is -1.
        """
        if num_frames != 1:
            raise ValueError(f"A picture has one frame, not {num_frames}.")

        def index_of(places: tf.Tensor) -> tf.Tensor:
            return order.example_index(places, len(self), seed)

        def substitutes(position: int) -> Iterator[int]:
            for attempt in range(1, _MAX_ATTEMPTS):
                place = position + attempt * _ATTEMPT_STRIDE
                with tf.device("CPU:0"):
                    yield int(index_of(tf.constant(place, tf.int64)))

        def read(number: np.int64, position: np.int64) -> _Read:
            numbers = itertools.chain([int(number)], substitutes(int(position)))
            return self._first_usable(numbers, skipped, smallest_side_px)

        def example(position: tf.Tensor) -> dict[str, tf.Tensor]:
            image, class_number, is_usable = _in_graph(
                read, index_of(position), position
            )
            message = (
                f"{_MAX_ATTEMPTS} pictures of {self.description} in a row "
                "cannot be used; the log names each. Check the source."
            )
            with tf.control_dependencies(
                [tf.debugging.Assert(is_usable, [message])]
            ):
                image = tf.identity(image)
            return {
                "image": image,
                "position": position,
                "class": class_number,
                "class_names": tf.constant(
                    self.class_names, tf.string, [self.num_classes]
                ),
                "num_pictures": tf.constant(len(self), tf.int64),
            }

        return self._read_ahead(positions, index_of).map(
            example, tf.data.AUTOTUNE, deterministic=True
        )

    @plain_graphs.traces_as_written
    def stream_once(
        self, shuffle_seed: int | None, skipped: skipped_lib.SkippedExamples
    ) -> tf.data.Dataset:
        """Returns every usable picture once, with its class.

        Args:
            shuffle_seed: of the order; None keeps the source's.
            skipped: gets the names of the pictures that could not be used.

        Returns:
            (image, uint8 [H, W, 3] RGB, and class, int32 [] in [0, K), or -1
            where the source has no classes).
        """

        def read(number: np.int64) -> _Read:
            return self._first_usable([int(number)], skipped)

        numbers = np.arange(len(self))
        if shuffle_seed is not None:
            np.random.default_rng(shuffle_seed).shuffle(numbers)
        found = self._read_ahead(
            tf.data.Dataset.from_tensor_slices(numbers), lambda batch: batch
        ).map(
            lambda number: _in_graph(read, number),
            tf.data.AUTOTUNE,
            deterministic=True,
        )
        return found.filter(lambda image, number, is_usable: is_usable).map(
            lambda image, number, is_usable: (image, number)
        )

    def _read_ahead(
        self,
        positions: tf.data.Dataset,
        index_of: Callable[[tf.Tensor], tf.Tensor],
    ) -> tf.data.Dataset:
        """Returns the same positions, with their pictures read already.

        Args:
            positions: int64 [].
            index_of: positions, int64 [n] -> numbers of pictures, int64 [n].
        """
        if self.read_ahead is None:
            return positions

        def read(batch: tf.Tensor) -> tf.Tensor:
            done = tf.numpy_function(
                self._read_numbers, [index_of(batch)], tf.int64
            )
            with tf.control_dependencies([done]):
                return tf.identity(batch)

        # The next ones are read while these are decoded.
        ahead = positions.batch(_NUM_READ_AHEAD).map(read).prefetch(1)
        return ahead.unbatch()

    def _read_numbers(self, numbers: np.ndarray) -> np.int64:
        if self.read_ahead is not None:
            self.read_ahead(numbers)
        return np.int64(len(numbers))

    def _first_usable(
        self,
        numbers: Iterable[int],
        skipped: skipped_lib.SkippedExamples,
        smallest_side_px: int | None = None,
    ) -> _Read:
        """Reads the first of some pictures that can be used.

        Args:
            numbers: of pictures.
            skipped: gets the names of those before it.
            smallest_side_px: as `Source` has it.
        """
        for number in numbers:
            try:
                image = self.decode(number, smallest_side_px)
                class_number = (
                    self.read_class(number) if self.read_class else -1
                )
            except (OSError, picture.UnusablePictureError) as error:
                skipped.add(self.names[number], str(error))
            else:
                return image, np.int32(class_number), np.bool_(True)
        return np.zeros([1, 1, 3], np.uint8), np.int32(-1), np.bool_(False)


def _in_graph(
    read: Callable[..., _Read], *arguments: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Returns what Python reads at one go: each call of it takes a while."""
    image, class_number, is_usable = tf.numpy_function(
        read, arguments, [tf.uint8, tf.int32, tf.bool]
    )
    return (
        tf.ensure_shape(image, [None, None, 3]),
        tf.ensure_shape(class_number, []),
        tf.ensure_shape(is_usable, []),
    )
