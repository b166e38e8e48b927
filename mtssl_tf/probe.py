"""Accuracy of a trunk's features while it trains.

A quick look, not a number to quote: small views, a subset of the pictures,
no augmentation. `evaluation.imagenet_linear` gives the numbers.
"""

from __future__ import annotations

import pathlib

import numpy as np

from mtssl_tf.frozen import accuracy
from mtssl_tf.frozen import features as features_lib
from mtssl_tf.frozen import knn
from mtssl_tf.frozen import labelled_pictures
from mtssl_tf.frozen import softmax_regression
from mtssl_tf.frozen import views
from mtssl_tf.input_contract import InputContract
from mtssl_tf.lazy_imports import keras

_TEST_SHARE = 0.3  # ours, where the folder has no `train` and `test`
_BATCH_SIZE = 64


class Probe:
    """Labelled pictures, decoded once and looked at as often as wanted."""

    def __init__(
        self,
        folder: str,
        image_px: int = 96,
        max_per_class: int = 40,
        seed: int = 0,
    ) -> None:
        """Decodes the pictures.

        Args:
            folder: holds a folder a class, or `train` and `test` with a
                folder a class each.
            image_px: side of the view that the trunk sees.
            max_per_class: pictures of a class that are used, training and
                test each.
            seed: of which these are.

        Raises:
            FileNotFoundError: there is no such folder.
            ValueError: its pictures can't be told into classes.
        """
        train, test = open_train_and_test(folder, max_per_class, seed)
        self._num_classes = train.num_classes
        self._image_px = image_px
        self._train = self._decode(train)
        self._test = self._decode(test)

    def measure(
        self, trunk: keras.Model, contract: InputContract
    ) -> dict[str, float]:
        """Returns `knn_top1` and `linear_top1` in percent.

        Args:
            trunk: its last unit is read, in inference mode.
            contract: of its input.
        """
        extract = features_lib.build_extractor(
            trunk, contract, [max(trunk.output)]
        )
        train = self._features(extract, self._train[0])
        test = self._features(extract, self._test[0])
        neighbours = knn.score_by_neighbours(
            train, self._train[1], test, self._num_classes
        )
        classifier = softmax_regression.fit_softmax_regression(
            train, self._train[1], self._num_classes
        )
        scores = {
            "knn_top1": neighbours,
            "linear_top1": classifier.logits(test),
        }
        return {
            name: accuracy.percent(accuracy.hits(values, self._test[1], 1))
            for name, values in scores.items()
        }

    def _decode(
        self, pictures: labelled_pictures.LabelledPictures
    ) -> tuple[np.ndarray, np.ndarray]:
        batches = list(
            views.centre_view_batches(
                pictures, self._image_px, self._image_px, _BATCH_SIZE
            ).as_numpy_iterator()
        )
        images, classes = zip(*batches)
        return np.concatenate(images), np.concatenate(classes)

    def _features(self, extract, images: np.ndarray) -> np.ndarray:
        parts = [
            extract(images[start : start + _BATCH_SIZE]).numpy()[:, 0]
            for start in range(0, len(images), _BATCH_SIZE)
        ]
        return np.concatenate(parts)


def open_train_and_test(
    folder: str, max_per_class: int, seed: int
) -> tuple[
    labelled_pictures.LabelledPictures, labelled_pictures.LabelledPictures
]:
    """Opens a folder's pictures for training and test, at most so many each.

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: a class is empty, is only in one of `train` and `test`,
            or has one picture where there are no such folders.
    """
    root = pathlib.Path(folder)
    rng = np.random.default_rng(seed)
    if (root / "train").is_dir() and (root / "test").is_dir():
        train = labelled_pictures.find_class_folders(str(root / "train"))
        test = labelled_pictures.find_class_folders(str(root / "test"))
        labelled_pictures.check_same_classes(tuple(train), tuple(test))
    else:
        train, test = {}, {}
        for name, paths in labelled_pictures.find_class_folders(folder).items():
            if len(paths) < 2:
                raise ValueError(
                    f"In {folder} the class {name} has one picture. A probe "
                    "needs one to train on and one to test with."
                )
            shuffled = [paths[i] for i in rng.permutation(len(paths))]
            num_test = max(1, int(_TEST_SHARE * len(paths)))
            test[name] = shuffled[:num_test]
            train[name] = shuffled[num_test:]
    return (
        _take_per_class(folder, train, max_per_class, rng),
        _take_per_class(folder, test, max_per_class, rng),
    )


def _take_per_class(
    description: str,
    paths_by_class: dict[str, list[pathlib.Path]],
    max_per_class: int,
    rng: np.random.Generator,
) -> labelled_pictures.LabelledPictures:
    paths, classes = [], []
    for number, candidates in enumerate(paths_by_class.values()):
        chosen = sorted(rng.permutation(len(candidates))[:max_per_class])
        paths += [candidates[index] for index in chosen]
        classes += [number] * len(chosen)
    return labelled_pictures.from_paths(
        description, tuple(paths_by_class), paths, classes
    )
