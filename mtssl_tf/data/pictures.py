"""Encoded pictures as a source, wherever they lie.

Readers (`folder.py`, `tfrecords.py`, `tfds_splits.py`) make a `PictureSource`;
this file decodes what they read. Training streams positions of an endless
order and replaces what is broken; evaluations stream each picture once and
leave out what is broken.
"""

from __future__ import annotations

from collections.abc import Callable
import dataclasses
import hashlib

import numpy as np

from mtssl_tf.data import decode
from mtssl_tf.data import large_constant
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
_NUM_INTERLEAVED = 8  # ours: pictures that are decoded at a time


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
        read_class_in_graph: int64 [] -> int32 [], the number of a picture's
            class; None where there are no classes.
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
    read_class_in_graph: Callable[[tf.Tensor], tf.Tensor] | None = None
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

    def decode(self, number: int) -> np.ndarray:
        """Returns a picture, uint8 [H, W, 3] RGB.

        Raises:
            UnusablePictureError, OSError: it cannot be read.
        """
        return picture.decode_rgb(self.read(number), self.value_range)

    def digest(self) -> str:
        """Returns a digest that changes when pictures come, go or change."""
        digest = hashlib.sha256()
        for number in range(len(self)):
            digest.update(names_lib.as_bytes(f"{self.fingerprint(number)}\n"))
        return digest.hexdigest()

    def subset(self, numbers: np.ndarray) -> PictureSource:
        """Returns the source of only the pictures `numbers`, int64 [n]."""
        read_class = self.read_class_in_graph
        read_ahead = self.read_ahead
        in_graph = large_constant.LargeConstant(lambda: numbers)
        return dataclasses.replace(
            self,
            names=tuple(map(self.names.__getitem__, numbers.tolist())),
            read=lambda index: self.read(int(numbers[index])),
            fingerprint=lambda index: self.fingerprint(int(numbers[index])),
            read_class_in_graph=read_class
            and (lambda index: read_class(tf.gather(in_graph(), index))),
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
            read_class_in_graph=lambda index: tf.cast(index, tf.int32),
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

        def give_up(_: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            message = (
                f"{_MAX_ATTEMPTS} pictures of {self.description} in a row "
                "cannot be used; the log names each. Check the source."
            )
            never = tf.debugging.Assert(False, [message])
            with tf.control_dependencies([never]):
                return tf.zeros([1, 1, 3], tf.uint8), tf.constant(-1)

        def first_usable(position: tf.Tensor) -> tf.data.Dataset:
            def index_of(attempt: tf.Tensor) -> tf.Tensor:
                return order.example_index(
                    position + attempt * _ATTEMPT_STRIDE, len(self), seed
                )

            last_resort = tf.data.Dataset.range(1).map(give_up)
            return (
                self._decoded(
                    index_of, _MAX_ATTEMPTS, skipped, smallest_side_px
                )
                .concatenate(last_resort)
                .take(1)
                .map(
                    lambda image, number: {
                        "image": image,
                        "position": position,
                        "class": number,
                        "class_names": tf.constant(
                            self.class_names, tf.string, [self.num_classes]
                        ),
                        "num_pictures": tf.constant(len(self), tf.int64),
                    }
                )
            )

        positions = self._read_ahead(
            positions,
            lambda batch: order.example_index(batch, len(self), seed),
        )
        return _interleaved(positions, first_usable)

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
        numbers = np.arange(len(self))
        if shuffle_seed is not None:
            np.random.default_rng(shuffle_seed).shuffle(numbers)
        return _interleaved(
            self._read_ahead(
                tf.data.Dataset.from_tensor_slices(numbers), lambda batch: batch
            ),
            lambda number: self._decoded(lambda _: number, 1, skipped).take(1),
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

    def _decoded(
        self,
        index_of: Callable[[tf.Tensor], tf.Tensor],
        num_attempts: int,
        skipped: skipped_lib.SkippedExamples,
        smallest_side_px: int | None = None,
    ) -> tf.data.Dataset:
        """Returns (image, class) of the pictures that some decoder reads.

        Args:
            index_of: number of an attempt, int64 [] -> that of a picture.
            num_attempts: each is made with both decoders.
            skipped: gets the names of those that neither can read.
            smallest_side_px: as `Source` has it.
        """

        def decode_with_opencv(index: np.int64) -> np.ndarray:
            try:
                return self.decode(int(index))
            except (picture.UnusablePictureError, OSError) as error:
                skipped.add(self.names[index], str(error))
                raise

        def fall_back(index: tf.Tensor) -> tf.Tensor:
            image = tf.numpy_function(decode_with_opencv, [index], tf.uint8)
            return tf.ensure_shape(image, [None, None, 3])

        def load(attempt: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            index = index_of(attempt // 2)
            image = tf.cond(
                attempt % 2 == 0,
                lambda: decode.read_in_graph(
                    self.read, index, smallest_side_px, self.value_range
                ),
                lambda: fall_back(index),
            )
            if self.read_class_in_graph is None:
                return image, tf.constant(-1, tf.int32)
            return image, self.read_class_in_graph(index)

        attempts = tf.data.Dataset.range(2 * num_attempts)
        return attempts.map(load).ignore_errors()


def _interleaved(
    elements: tf.data.Dataset,
    expand: Callable[[tf.Tensor], tf.data.Dataset],
) -> tf.data.Dataset:
    """Chains the datasets that elements expand to, several made at a time."""
    return elements.interleave(
        expand,
        cycle_length=_NUM_INTERLEAVED,
        block_length=1,
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=True,
    )
