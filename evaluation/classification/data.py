"""Labelled pictures to fit on and to test with."""

from __future__ import annotations

import dataclasses
import os
from typing import Any

from absl import logging

from evaluation.classification import protocol as protocol_lib
from mtssl_tf.data import choose_range
from mtssl_tf.data import open_source
from mtssl_tf.data import pictures
from mtssl_tf.data import skipped as skipped_lib
from mtssl_tf.files import value_range as value_range_lib
from mtssl_tf.frozen import views
from mtssl_tf.lazy_imports import tf
from mtssl_tf.process import paths


@dataclasses.dataclass(frozen=True)
class LabelledData:
    """Pictures of the same classes, and those that could not be used.

    Attributes:
        train: to fit on.
        test: to test with.
        skipped: gets the names of what cannot be decoded.
    """

    train: pictures.PictureSource
    test: pictures.PictureSource
    skipped: skipped_lib.SkippedExamples = dataclasses.field(
        default_factory=skipped_lib.SkippedExamples
    )

    def in_range(self, value_range: value_range_lib.Choice | None):
        """Returns the same pictures with a trunk's black and white.

        Args:
            value_range: of its contract; None chooses one by the training
                pictures, where they have more than 8 bits.
        """
        train = choose_range.settled(self.train, value_range)
        test = self.test.in_range(train.value_range)
        return dataclasses.replace(self, train=train, test=test)

    def describe(self) -> dict[str, Any]:
        """Counts and digests, for `result.json`."""
        sides = {"train": self.train, "test": self.test}
        return {
            **{name: _describe(source) for name, source in sides.items()},
            "skipped": dict(self.skipped.items()),
        }


def open_data(train: str, test: str) -> LabelledData:
    """Opens both sources and checks that they fit together.

    Args:
        train: a folder with a folder a class, or `tfds:NAME:SPLIT`.
        test: the same.

    Raises:
        FileNotFoundError: a folder is missing.
        ValueError: classes are empty, differ, or are one.
    """
    _warn_of_overlap(train, test)
    data = LabelledData(
        open_source.open_labelled(train), open_source.open_labelled(test)
    )
    open_source.check_same_classes(
        data.train.class_names, data.test.class_names
    )
    if data.train.num_classes < 2:
        raise ValueError(
            f"A classifier needs two classes or more; {train} has one: "
            f"{', '.join(data.train.class_names)}."
        )
    return data


def _warn_of_overlap(train: str, test: str) -> None:
    """Says it where both name the same, or one lies in the other."""
    for one in paths.split(train):
        for other in paths.split(test):
            is_same = one == other
            if os.path.isdir(one) and os.path.isdir(other):
                is_same = paths.lies_in(one, other) or paths.lies_in(other, one)
            if is_same:
                logging.warning(
                    "--train=%s and --test=%s have pictures in common (%s and "
                    "%s): the classifier has seen what it is tested with, and "
                    "the result says nothing of the trunk. Name folders apart "
                    "from each other.",
                    train,
                    test,
                    one,
                    other,
                )


def centre_views(
    source: pictures.PictureSource,
    protocol: protocol_lib.FastLinearProtocol | protocol_lib.LinearProtocol,
    skipped: skipped_lib.SkippedExamples,
    shuffle_seed: int | None = None,
) -> tf.data.Dataset:
    """Streams one view of each usable picture, of the protocol's sizes.

    Args:
        source: where the pictures come from.
        protocol: says how large view and batch are.
        skipped: gets the names of the pictures that could not be used.
        shuffle_seed: of the order; None keeps the source's.

    Returns:
        As `views.centre_view_batches` does.
    """
    return views.centre_view_batches(
        source,
        protocol.resize_px,
        protocol.image_px,
        protocol.batch_size,
        skipped,
        shuffle_seed,
    )


def _describe(source: pictures.PictureSource) -> dict[str, Any]:
    return {
        "source": source.description,
        "num_pictures": len(source),
        "num_classes": source.num_classes,
        "digest": source.digest(),
    }
