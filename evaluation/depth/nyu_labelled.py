"""NYU Depth v2's labelled set of 1449 pictures, with its official split.

The .mat file is MATLAB 7.3, which is HDF5 with the axes reversed. `depths` is
the depth after the authors' filling in, which tests use; `rawDepths` is the
sensor's, registered to the picture and with holes, which training uses.
"""

from __future__ import annotations

import math
import os
import pathlib

import h5py
import numpy as np
import scipy.io

from evaluation.depth import pairs
from mtssl_tf.files import picture
from mtssl_tf.process import local_map

SPLITS_URL = "http://horatio.cs.nyu.edu/mit/silberman/indoor_seg_sup/splits.mat"
# ours: two lists of 1449 numbers; what it may unpack to is bounded by it.
_MAX_SPLIT_BYTES = 2**18
# ours: fifty whole depth maps of the data set's own size.
_MAX_CHUNK_BYTES = 2**26
# HDF5's reader raises whatever it trips on.
_READERS_ERRORS = (OSError, RuntimeError, KeyError, TypeError, AttributeError)
_RAW = "rawDepths"
_FILLED = "depths"


class NyuLabelledPairs:
    """All pictures of the .mat file with one of its depths, in its order.

    Args:
        path: of nyu_depth_v2_labeled.mat.
        depth_key: 'depths' (filled) or 'rawDepths'.

    Raises:
        ValueError: the file is damaged or is not that data set.
    """

    def __init__(self, path: pathlib.Path, depth_key: str):
        self._path = path
        self._depth_key = depth_key
        try:
            file = h5py.File(path, "r")
            keys = sorted(file)
            missing = {"images", depth_key} - set(keys)
            if not missing:
                self._images = _array(file, "images")  # uint8 [N, 3, W, H]
                self._depths = _array(file, depth_key)  # float32 [N, W, H], m
        except _READERS_ERRORS as error:
            raise ValueError(
                f"{path} is not a MATLAB 7.3 file, or is cut short "
                f"({os.path.getsize(path)} bytes): {error}. "
                "Download nyu_depth_v2_labeled.mat again; it has 2.8 GB."
            ) from error
        if missing:
            raise ValueError(
                f"{path} has no {sorted(missing)}, it has {keys}. Expected "
                "nyu_depth_v2_labeled.mat."
            )
        shape = self._images.shape
        if len(shape) != 4 or self._depths.shape != (shape[0], *shape[2:]):
            raise ValueError(
                f"{path}: images {list(shape)} and {depth_key} "
                f"{list(self._depths.shape)} do not belong together; "
                "expected [N, 3, W, H] and [N, W, H]."
            )
        if shape[1] != 3 or shape[2] * shape[3] > picture.MAX_PIXELS:
            raise ValueError(
                f"{path}: images {list(shape)} should be [N, 3, W, H] with at "
                f"most {picture.MAX_PIXELS} pixels each."
            )

    def __len__(self) -> int:
        return self._images.shape[0]

    def __getitem__(self, index: int) -> pairs.DepthPair:
        name = f"{self._path} picture {index + 1}"
        try:
            rgb = np.transpose(self._images[index], (2, 1, 0))
            depth = np.transpose(self._depths[index])
        except _READERS_ERRORS as error:
            raise ValueError(
                f"{name} cannot be read: {error}. Download the file again."
            ) from error
        return pairs.checked_pair(name, np.ascontiguousarray(rgb), depth)

    def fingerprint(self) -> str:
        size = os.path.getsize(self._path)
        return f"{self._path.name} {size} {len(self)} {self._depth_key}"


def _array(file: h5py.File, key: str) -> h5py.Dataset:
    """Returns an array of numbers, which in HDF5 may be a group, or text."""
    found = file[key]
    is_numbers = isinstance(found, h5py.Dataset) and found.dtype.kind in "uif"
    if not is_numbers or found.shape is None:
        raise TypeError(f"{key} is {found!r} and no array of numbers")
    # Whoever reads one value unpacks the chunk that it is in.
    chunk_bytes = math.prod(found.chunks or ()) * found.dtype.itemsize
    if chunk_bytes > _MAX_CHUNK_BYTES:
        raise TypeError(
            f"{key} is stored in chunks of {chunk_bytes} bytes, above the "
            f"{_MAX_CHUNK_BYTES} that are unpacked"
        )
    return found


def load_nyu_labelled(
    path: pathlib.Path, split_path: pathlib.Path | None
) -> pairs.DepthData:
    """Opens the .mat file: raw depth to train on, filled depth to test on.

    Args:
        path: of nyu_depth_v2_labeled.mat.
        split_path: of splits.mat; None looks beside `path`.
    """
    split_path = split_path or path.with_name("splits.mat")
    raw = NyuLabelledPairs(path, _RAW)
    train, test = _load_split(split_path, len(raw))
    return pairs.DepthData(
        train=pairs.Subset(raw, train),
        test=pairs.Subset(NyuLabelledPairs(path, _FILLED), test),
        source=str(path),
        split=f"official {len(train)}/{len(test)}",
        test_depth="filled",
    )


def _load_split(
    path: pathlib.Path, num_pictures: int
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the 0-based indices of the training and the test pictures."""
    if not path.is_file():
        raise FileNotFoundError(
            f"No official split at {path}. NYU's authors publish it apart "
            f"from the pictures, as {SPLITS_URL} (795 to train, 654 to "
            "test). Put it beside the .mat file or name it with --split=PATH."
        )
    if path.stat().st_size > _MAX_SPLIT_BYTES:
        raise ValueError(
            f"{path} has {path.stat().st_size} bytes, expected at most "
            f"{_MAX_SPLIT_BYTES} of a list of numbers. Download it again from "
            f"{SPLITS_URL}."
        )
    # In a process of its own: some broken files end SciPy's reader.
    ((_, outcome),) = local_map.local_map(_read_numbers, [path], workers=1)
    if isinstance(outcome, Exception):  # whatever that reader trips on
        raise ValueError(
            f"{path} is not the official split, which holds trainNdxs and "
            f"testNdxs: {outcome!r}. Download it again from {SPLITS_URL}."
        ) from outcome
    train, test = outcome
    every = np.concatenate([train, test])
    if (
        not len(train)
        or not len(test)
        or len(np.unique(every)) < len(every)
        or every.min() < 0
        or every.max() >= num_pictures
    ):
        raise ValueError(
            f"{path}: its {len(train)} training and {len(test)} test numbers "
            f"must be different ones of 1 to {num_pictures}, the pictures in "
            "the .mat file."
        )
    return train, test


def _read_numbers(path: pathlib.Path) -> list[np.ndarray]:
    """Returns the lists of a split, counted from 0."""
    content = scipy.io.loadmat(path)
    return [
        content[key].ravel().astype(np.int64) - 1
        for key in ("trainNdxs", "testNdxs")
    ]
