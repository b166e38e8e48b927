"""Depth data from a folder: `rgb/NAME.*` beside `depth/NAME.png`.

Pictures are taken as they are stored, whatever their EXIF tag says is up:
depth maps have no such tag and lie pixel by pixel over what is stored.
"""

from __future__ import annotations

from concurrent import futures
import pathlib

from absl import logging
import cv2
import numpy as np

from evaluation.depth import pairs as pairs_lib
from mtssl_tf.files import names
from mtssl_tf.files import picture
from mtssl_tf.files import walk
from mtssl_tf.process import cores

_PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".ppm")
_MILLIMETRES = 1000.0
_MISSING = 65535  # Kinect's "no reading"; 0 is missing too


class _BrokenPairError(ValueError):
    """A file of a pair cannot be decoded."""


class FolderPairs:
    """Pairs of a folder, in the order of the numbers in their names.

    All are decoded once: a broken one that comes up in the test would end a
    training that is over.

    Attributes:
        skipped: name -> reason of those that are broken.

    Raises:
        FileNotFoundError: `rgb/` or `depth/` is not there.
        ValueError: a name has no partner, there is no whole pair, or one is
            not of the kind that it must be.
    """

    def __init__(self, folder: pathlib.Path):
        pictures = _files_by_name(folder / "rgb", _PICTURES)
        depths = _files_by_name(folder / "depth", (".png",))
        unmatched = sorted(set(pictures) ^ set(depths))
        if unmatched:
            name = unmatched[0]
            there = pictures.get(name) or depths[name]
            raise ValueError(
                f"{len(unmatched)} files of {folder} have no partner of the "
                f"same name, the first is {there}. Every rgb/NAME needs a "
                "depth/NAME.png."
            )
        self._files = [(pictures[name], depths[name]) for name in pictures]
        if not self._files:
            raise ValueError(f"{folder}/rgb and depth hold no picture files.")
        self.skipped: dict[str, str] = {}
        with futures.ThreadPoolExecutor(cores.count()) as pool:
            problems = list(pool.map(self._problem, range(len(self._files))))
        for (path, _), problem in zip(self._files, problems):
            if problem:
                self.skipped[names.as_text(path.name)] = problem
                logging.warning("Skipped: %s", problem)
        if all(problems):
            raise ValueError(problems[0])
        self._files = [
            files
            for files, problem in zip(self._files, problems)
            if not problem
        ]

    def _problem(self, index: int) -> str:
        try:
            self[index]
        except _BrokenPairError as error:
            return str(error)
        return ""

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, index: int) -> pairs_lib.DepthPair:
        picture_path, depth_path = self._files[index]
        bgr = _read(picture_path, cv2.IMREAD_COLOR)  # as stored, like depth
        depth = _read(depth_path, cv2.IMREAD_UNCHANGED)
        if depth.dtype != np.uint16 or depth.ndim != 2:
            raise ValueError(
                f"{depth_path}: expected a PNG of 16 bits and one channel, "
                f"in millimetres, got {depth.dtype} {list(depth.shape)}."
            )
        depth_m = np.where(depth == _MISSING, 0, depth) / _MILLIMETRES
        return pairs_lib.checked_pair(
            names.as_text(depth_path), bgr[:, :, ::-1], depth_m
        )

    def fingerprint(self) -> str:
        return "\n".join(
            f"{path.parent.name}/{path.name} {path.stat().st_size}"
            for pair in self._files
            for path in pair
        )


def load_depth_folder(
    folder: pathlib.Path, test_share: float
) -> pairs_lib.DepthData:
    """Reads a folder and keeps its last pairs, by number, for the test.

    Frames of a video that stand next to each other are nearly the same
    picture, so a random split would test on the training set.

    Args:
        folder: holds `rgb/` and `depth/`.
        test_share: of the pairs, in (0, 1).
    """
    pairs = FolderPairs(folder)
    num_test = round(test_share * len(pairs))
    num_train = len(pairs) - num_test
    if not num_test or not num_train:
        raise ValueError(
            f"--test_share={test_share} of {len(pairs)} pairs leaves "
            f"{num_train} to train and {num_test} to test. Both need one."
        )
    return pairs_lib.DepthData(
        train=pairs_lib.Subset(pairs, range(num_train)),
        test=pairs_lib.Subset(pairs, range(num_train, len(pairs))),
        source=str(folder),
        split=f"last {test_share:g} of the frames by name",
        test_depth="as stored",
        skipped=pairs.skipped,
    )


def _files_by_name(
    folder: pathlib.Path, suffixes: tuple[str, ...]
) -> dict[str, pathlib.Path]:
    if not folder.is_dir():
        raise FileNotFoundError(
            f"No folder {folder}. A data folder holds rgb/ and depth/, with "
            "files of the same names."
        )
    found = walk.files_in(folder, suffixes)
    found.log_problems()
    paths = [pathlib.Path(path) for path in found.files]
    paths.sort(key=lambda path: names.natural_key(path.name))
    files = {path.stem: path for path in paths}
    if len(files) < len(paths):
        raise ValueError(
            f"{folder} holds {len(paths)} pictures under {len(files)} names. "
            "Keep one file a name."
        )
    return files


def _read(path: pathlib.Path, flags: int) -> np.ndarray:
    try:
        return picture.decode(picture.read(path), flags)
    except picture.UnusablePictureError as error:
        raise _BrokenPairError(
            f"{names.shown(path)} cannot be used: {error}. Copy it again."
        ) from error
