"""What every source of examples is, and how it is cut and iterated."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
import dataclasses
import hashlib
import queue
import threading
from typing import Any, Protocol

import numpy as np

from mtssl_tf.data import skipped as skipped_lib
from mtssl_tf.lazy_imports import tf


class SourceError(ValueError):
    """A source has no usable example left."""


class Source(Protocol):
    """Examples that can be read in any order.

    `pictures.PictureSource` and `videos.VideoSource` are the two kinds.
    """

    @property
    def description(self) -> str:
        """What the user named."""

    @property
    def names(self) -> tuple[str, ...]:
        """A name for each example that a person can find."""

    def __len__(self) -> int:
        """Returns the number of examples."""

    def subset(self, numbers: np.ndarray) -> Source:
        """Returns the source of only the examples `numbers`, int64 [n]."""

    def stream(
        self,
        positions: tf.data.Dataset,
        seed: int,
        skipped: skipped_lib.SkippedExamples,
        smallest_side_px: int | None = None,
        num_frames: int = 1,
    ) -> tf.data.Dataset:
        """Returns the example at each position, undistorted.

        Every position gives exactly one example: one that cannot be used is
        replaced by another. So a position is all that a checkpoint needs to
        hold about the data.

        Args:
            positions: int64 [] positions in the order of `seed`
                (`data/order.py`).
            seed: the run's seed.
            skipped: gets the names of what could not be used.
            smallest_side_px: the short side that is needed; what is larger
                may come at a half, a quarter or an eighth of its size. None
                takes everything as it is.
            num_frames: that examples of clips show; pictures show one.

        Returns:
            dicts of `image`, uint8 [H, W, 3] RGB, `position`, int64 [], and
            what the kind of source adds.
        """

    def close(self) -> None:
        """Ends what streams are busy with, from any thread; there is no way
        back.
        """

    def raise_failure(self) -> None:
        """Raises why a stream has ended with an error, where it knows."""


@dataclasses.dataclass(frozen=True)
class SplitSource:
    """A source, cut into what is trained on and what is held out.

    Attributes:
        training: examples for training.
        held_out: examples for judging; None where nothing is held out.
    """

    training: Source
    held_out: Source | None

    def names(self) -> list[str]:
        """Returns the names of all examples."""
        held_out = () if self.held_out is None else self.held_out.names
        return [*self.training.names, *held_out]


def split_source(
    source: Source, held_out_share: float, hashes: np.ndarray | None = None
) -> SplitSource:
    """Holds a share of a source's pictures or clips out of training.

    Args:
        source: of pictures or clips.
        held_out_share: of them.
        hashes: uint32 [n], of its names, where they are known already.
    """
    if hashes is None:
        hashes = hash_names(source.names)
    is_held_out = choose_held_out(hashes, held_out_share)
    if not is_held_out.any():
        return SplitSource(source, None)
    return SplitSource(
        source.subset(np.flatnonzero(~is_held_out)),
        source.subset(np.flatnonzero(is_held_out)),
    )


def hash_names(names: Sequence[str]) -> np.ndarray:
    """Returns a number for each name that looks random, uint32 [n]."""
    digests = [hashlib.sha256(name.encode()).digest()[:4] for name in names]
    return np.frombuffer(b"".join(digests), ">u4").astype(np.uint32)


def choose_held_out(hashes: np.ndarray, share: float) -> np.ndarray:
    """Chooses what is kept out of training, by name alone.

    A name keeps its side when other files come and go. At least one is held
    out where `share` is above 0 and there is more than one.

    Args:
        hashes: uint32 [n], of all names.
        share: of them, in [0, 1).

    Returns:
        bool [n].
    """
    is_held_out = hashes < share * 2**32
    if share > 0 and len(hashes) > 1 and not is_held_out.any():
        is_held_out[hashes.argmin()] = True
    if is_held_out.all():
        is_held_out[hashes.argmax()] = False
    return is_held_out


def iterate(
    dataset: Iterable[Any], source: Source, device: str | None = None
) -> Generator[Any, None, None]:
    """Yields a dataset's elements, with a plain error where it has no more.

    The next element is prepared while one is worked on. Signals are dealt
    with while it waits for one. What an exception out of a signal's handler
    ends stays ended: the source is closed.

    Args:
        dataset: of tensors.
        source: that it was made of.
        device: where the elements are to be, as "GPU:0"; None leaves them
            where the dataset has them.

    Raises:
        SourceError: so many examples of `source` in a row cannot be used that
            it makes no sense to go on.
        Exception: what `source` knows to have gone wrong.
    """
    fetcher = None
    try:
        fetcher = _Fetcher(iter(dataset), device)
        yield from fetcher
        return
    except GeneratorExit:  # before TensorFlow's, which may be gone by then
        raise
    except (KeyboardInterrupt, SystemExit):
        source.close()
        raise
    except tf.errors.OpError as error:
        is_source_at_end = isinstance(error, tf.errors.InvalidArgumentError)
        unknown = None if is_source_at_end else error
    finally:
        if fetcher is not None:
            fetcher.close()
    # Not from within the handler: the first error would keep the iterator,
    # whose threads go on reading and hold up the end of the process.
    source.raise_failure()
    if unknown is not None:
        raise unknown.with_traceback(None)
    raise SourceError(
        f"Too many examples of {source.description} in a row cannot be used. "
        "The log names what was skipped and why; check the files, or leave "
        "out the tasks that need them."
    )


def iterate_once(dataset: Iterable[Any], source: Source) -> Iterator[Any]:
    """Yields what is made of every usable example of a source.

    Raises:
        SourceError: there is none.
    """
    is_empty = True
    for element in dataset:
        is_empty = False
        yield element
    if is_empty:
        raise SourceError(
            f"None of the {len(source)} examples of {source.description} can "
            "be used. The log names each and says why."
        )


class _Fetcher(Iterator[Any]):
    """Takes elements from an iterator of TensorFlow, in a thread of its own.

    Python runs the handler of a signal in the main thread, and only between
    two steps of Python's: not while that thread waits within TensorFlow.

    From the first one on it has one element ready, or is about to: whoever
    works on an element does not wait for the next.
    """

    def __init__(self, elements: Iterator[Any], device: str | None) -> None:
        self._is_asked = False
        self._is_wanted: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[tuple[Any, BaseException | None]]
        self._answers = queue.SimpleQueue()
        threading.Thread(
            target=_fetch,
            args=(elements, device, self._is_wanted, self._answers),
            daemon=True,
        ).start()

    def __next__(self) -> Any:
        self._ask()
        element, error = self._answers.get()
        self._is_asked = False
        if error is not None:
            raise error
        self._ask()
        return element

    def _ask(self) -> None:
        """Asks for one element, where none was asked for yet."""
        if not self._is_asked:
            self._is_asked = True
            self._is_wanted.put(True)

    def close(self) -> None:
        """Lets the thread end, once it has what it is waiting for."""
        self._is_wanted.put(False)


def _fetch(
    elements: Iterator[Any],
    device: str | None,
    is_wanted: queue.SimpleQueue[bool],
    answers: queue.SimpleQueue[tuple[Any, BaseException | None]],
) -> None:
    while is_wanted.get():
        try:
            element = _next_of(elements)
            if device is not None:
                with tf.device(device):
                    element = tf.nest.map_structure(tf.identity, element)
            answers.put((element, None))
            del element  # or the thread would hold it until the next
        except BaseException as error:
            # The traceback would keep the iterator.
            answers.put((None, error.with_traceback(None)))


def _next_of(elements: Iterator[Any]) -> Any:
    """Returns the next element, and does not fail where there is none.

    TensorFlow tells of the end by an error, which aborts whatever another
    thread has on its way to a GPU at that moment.

    Args:
        elements: of a dataset; that of several GPUs has no end.

    Raises:
        StopIteration: there is none.
    """
    if not isinstance(elements, tf.data.Iterator):
        return next(elements)
    found = elements.get_next_as_optional()
    if not found.has_value():
        raise StopIteration
    return found.get_value()
