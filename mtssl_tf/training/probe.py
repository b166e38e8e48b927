"""Accuracy of a trunk's features while it trains.

A quick look, not a number to quote: small views, a subset of the pictures,
no augmentation. `evaluation.imagenet_linear` gives the numbers.
"""

from __future__ import annotations

import pathlib

import numpy as np

from mtssl_tf.data import choose_range
from mtssl_tf.data import open_source
from mtssl_tf.data import pictures as pictures_lib
from mtssl_tf.data import skipped as skipped_lib
from mtssl_tf.data import source as source_lib
from mtssl_tf.files import value_range as value_range_lib
from mtssl_tf.frozen import accuracy
from mtssl_tf.frozen import features
from mtssl_tf.frozen import knn
from mtssl_tf.frozen import softmax_regression
from mtssl_tf.frozen import views
from mtssl_tf.lazy_imports import keras
from mtssl_tf.models import input_contract

_TEST_SHARE = 0.3  # ours, where the folder has no `train` and `test`
_BATCH_SIZE = 64


class Probe:
    """Labelled pictures, decoded once and looked at as often as wanted."""

    def __init__(
        self,
        folder: str,
        image_px: int = 96,
        max_per_class: int = 40,  # ours, as is the size
        seed: int = 0,
        value_range: value_range_lib.Choice | None = None,
    ) -> None:
        """Decodes the pictures.

        Args:
            folder: holds a folder a class, or `train` and `test` with a
                folder a class each.
            image_px: side of the view that the trunk sees.
            max_per_class: pictures of a class that are used, training and
                test each.
            seed: of which these are.
            value_range: of the trunk's contract.

        Raises:
            FileNotFoundError: there is no such folder.
            ValueError: its pictures can't be told into classes.
        """
        train, test = open_train_and_test(folder, max_per_class, seed)
        self._num_classes = train.num_classes
        self._image_px = image_px
        train = choose_range.settled(train, value_range)
        self._train = self._decode(train)
        self._test = self._decode(test.in_range(train.value_range))

    def measure(
        self, trunk: keras.Model, contract: input_contract.InputContract
    ) -> dict[str, float]:
        """Returns `knn_top1` and `linear_top1` in percent.

        Args:
            trunk: its last unit is read, in inference mode.
            contract: of its input.
        """
        extract = features.build_extractor(trunk, contract, [max(trunk.output)])
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
        self, pictures: pictures_lib.PictureSource
    ) -> tuple[np.ndarray, np.ndarray]:
        batches = views.centre_view_batches(
            pictures,
            self._image_px,
            self._image_px,
            _BATCH_SIZE,
            skipped_lib.SkippedExamples(),
        ).as_numpy_iterator()
        images, classes = zip(*source_lib.iterate_once(batches, pictures))
        return np.concatenate(images), np.concatenate(classes)

    def _features(self, extract, images: np.ndarray) -> np.ndarray:
        parts = [
            extract(images[start : start + _BATCH_SIZE]).numpy()[:, 0]
            for start in range(0, len(images), _BATCH_SIZE)
        ]
        return np.concatenate(parts)


def open_train_and_test(
    folder: str, max_per_class: int, seed: int
) -> tuple[pictures_lib.PictureSource, pictures_lib.PictureSource]:
    """Opens a folder's pictures for training and test, at most so many each.

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: a class is empty, is only in one of `train` and `test`,
            or has one picture where there are no such folders.
    """
    root = pathlib.Path(folder)
    rng = np.random.default_rng(seed)
    if (root / "train").is_dir() and (root / "test").is_dir():
        train = open_source.open_labelled(str(root / "train"))
        test = open_source.open_labelled(str(root / "test"))
        open_source.check_same_classes(train.class_names, test.class_names)
        of_train, of_test = _by_class(train), _by_class(test)
    else:
        train = test = open_source.open_labelled(folder)
        of_train, of_test = [], []
        for name, numbers in zip(train.class_names, _by_class(train)):
            if len(numbers) < 2:
                raise ValueError(
                    f"In {folder} the class {name} has one picture. A probe "
                    "needs one to train on and one to test with."
                )
            shuffled = numbers[rng.permutation(len(numbers))]
            num_test = max(1, int(_TEST_SHARE * len(numbers)))
            of_test.append(shuffled[:num_test])
            of_train.append(shuffled[num_test:])
    return (
        train.subset(_take_per_class(of_train, max_per_class, rng)),
        test.subset(_take_per_class(of_test, max_per_class, rng)),
    )


def _by_class(source: pictures_lib.PictureSource) -> list[np.ndarray]:
    """Returns the numbers of each class's pictures, int64 [n] a class."""
    classes = np.array([pathlib.Path(name).parts[0] for name in source.names])
    return [np.flatnonzero(classes == name) for name in source.class_names]


def _take_per_class(
    by_class: list[np.ndarray], max_per_class: int, rng: np.random.Generator
) -> np.ndarray:
    """Returns the numbers of at most so many pictures of each class."""
    return np.concatenate(
        [
            numbers[np.sort(rng.permutation(len(numbers))[:max_per_class])]
            for numbers in by_class
        ]
    )
