"""Pictures with their depth: what every source gives, and what is checked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
import dataclasses
import hashlib
from typing import Any, NamedTuple, Protocol

import numpy as np

from mtssl_tf.files import names

# Rooms, as seen by NYU's Kinect, have medians of 1 to 6 m.
MIN_MEDIAN_M = 0.1
MAX_MEDIAN_M = 20.0
_MAX_CHECKED = 100  # pairs read before training starts, evenly spaced


class DepthPair(NamedTuple):
    """A picture and its depth.

    Attributes:
        name: says where it came from.
        rgb: uint8 [H, W, 3].
        depth_m: float32 [H, W], metres, 0 where missing.
    """

    name: str
    rgb: np.ndarray
    depth_m: np.ndarray


class DepthPairs(Protocol):
    """A sequence of pairs, each read when it is asked for."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> DepthPair: ...

    def fingerprint(self) -> str:
        """Text that changes when the pairs change, at no great cost."""


@dataclasses.dataclass(frozen=True)
class DepthData:
    """Training and test pairs.

    Attributes:
        train: to train on.
        test: to judge on.
        source: what the user asked for.
        split: how the two were told apart, part of the protocol.
        test_depth: which depth maps `test` holds, part of the protocol.
        skipped: name -> reason of pairs that are in neither.
    """

    train: DepthPairs
    test: DepthPairs
    source: str
    split: str
    test_depth: str
    skipped: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def summary(self) -> dict[str, Any]:
        """Counts and a digest, for `result.json`."""
        text = "\n".join(p.fingerprint() for p in (self.train, self.test))
        return {
            "source": self.source,
            "num_train": len(self.train),
            "num_test": len(self.test),
            "skipped": dict(self.skipped),
            "digest": hashlib.sha256(names.as_bytes(text)).hexdigest(),
        }


class Subset:
    """Some pairs of another sequence."""

    def __init__(self, pairs: DepthPairs, indices: Iterable[int]):
        self._pairs = pairs
        self._indices = [int(index) for index in indices]

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, index: int) -> DepthPair:
        return self._pairs[self._indices[index]]

    def fingerprint(self) -> str:
        return f"{self._pairs.fingerprint()} {self._indices}"


def checked_pair(name: str, rgb: np.ndarray, depth: np.ndarray) -> DepthPair:
    """Makes a pair of what a source read.

    Args:
        name: for messages.
        rgb: uint8 [H, W, 3].
        depth: real [H, W], metres; 0, negative, infinite or NaN is missing.

    Raises:
        ValueError: picture and depth differ in size or are no such arrays.
    """
    if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3:
        raise ValueError(
            f"{name}: expected a picture uint8 [H, W, 3], got {rgb.dtype} "
            f"{list(rgb.shape)}."
        )
    if depth.shape != rgb.shape[:2]:
        raise ValueError(
            f"{name}: the picture is {_size(rgb)} pixels and its depth "
            f"{_size(depth)}. Depth must be registered to the picture, pixel "
            "by pixel; resizing one of them would not do that."
        )
    depth_m = depth.astype(np.float32)
    is_known = np.isfinite(depth_m) & (depth_m > 0)
    return DepthPair(name, rgb, np.where(is_known, depth_m, np.float32(0)))


def check_depth(pairs: DepthPairs, at_most: int = _MAX_CHECKED) -> None:
    """Reads some pairs and checks that their depth is there, in metres.

    Args:
        pairs: of which some, evenly spaced, are read.
        at_most: so many.

    Raises:
        ValueError: there is no pair, a depth map is empty or the unit wrong.
    """
    for pair in evenly_spaced(pairs, at_most):
        known = pair.depth_m[pair.depth_m > 0]
        if not known.size:
            raise ValueError(
                f"{pair.name}: every depth value is missing. Remove the pair "
                "or repair its depth file."
            )
        median = float(np.median(known))
        if not MIN_MEDIAN_M <= median <= MAX_MEDIAN_M:
            raise ValueError(
                f"{pair.name}: median depth is {median:.6g} m, far outside "
                f"{MIN_MEDIAN_M} to {MAX_MEDIAN_M} m, so it is probably in "
                "another unit. Folders hold 16-bit PNG in millimetres; .mat "
                "files and TFDS hold metres."
            )


def evenly_spaced(pairs: DepthPairs, at_most: int) -> Iterator[DepthPair]:
    """Reads up to `at_most` pairs, the first and the last among them.

    One is held at a time: a hundred of a camera's fill a machine's memory.
    """
    count = min(len(pairs), at_most)
    indices = np.unique(np.linspace(0, len(pairs) - 1, count).round())
    for index in indices:
        yield pairs[int(index)]


def _size(array: np.ndarray) -> str:
    return " x ".join(str(side) for side in array.shape[:2])
