"""VOC pictures from TensorFlow Datasets (`tfds:voc/2007`)."""

from __future__ import annotations

import pathlib

import numpy as np
import tensorflow_datasets as tfds

from evaluation.detection import voc_annotation
from evaluation.detection import voc_picture
from mtssl_tf.data import tfds_builder

_FEATURES = {"image", "image/filename", "objects"}
_OF_OBJECTS = {"bbox", "is_difficult", "label"}
_SPLITS = {"trainval": "train+validation", "val": "validation"}


def load_pictures(
    name: str, split: str, problems: voc_picture.Problems
) -> list[voc_picture.Picture]:
    """Reads a split of TFDS's `voc`; downloads it if it is not prepared.

    Args:
        name: TFDS name with its configuration, such as 'voc/2007'.
        split: VOC's or TFDS's name of it.
        problems: takes what is wrong.

    Raises:
        ValueError: TFDS has no such data set, or that no such split.
    """
    builder = tfds_builder.open_builder(name, "voc/2007")
    features = dict(builder.info.features or {})
    objects = features.get("objects")
    missing = _FEATURES - set(features)
    missing |= _OF_OBJECTS - set(getattr(objects, "feature", None) or ())
    if missing:
        raise ValueError(
            f"tfds:{name} has no {', '.join(sorted(missing))}, which VOC's "
            "protocol needs. Expected tfds:voc/2007 or voc/2012."
        )
    tfds_builder.prepare(builder)
    wanted = _SPLITS.get(split, split)
    unknown = set(wanted.split("+")) - set(builder.info.splits)
    if unknown:
        raise ValueError(
            f"TFDS's {name} has no split {split!r}; it has "
            f"{', '.join([*builder.info.splits, *_SPLITS])}."
        )
    class_names = features["objects"]["label"].names
    # The JPEG bytes are kept: 5000 decoded pictures fill a memory.
    dataset = builder.as_dataset(
        split=wanted, decoders={"image": tfds.decode.SkipDecoding()}
    )
    return [
        _to_picture(example, class_names, problems)
        for example in tfds.as_numpy(dataset)
    ]


def _to_picture(
    example: dict, class_names: list[str], problems: voc_picture.Problems
) -> voc_picture.Picture:
    encoded = example["image"]
    height, width = voc_picture.stored_size(encoded)
    found = example["objects"]
    objects = [
        voc_annotation.VocObject(
            class_names[label], _to_corners(box, height, width), bool(difficult)
        )
        for label, box, difficult in zip(
            found["label"], found["bbox"], found["is_difficult"]
        )
    ]
    name = pathlib.PurePath(example["image/filename"].decode()).stem
    return voc_picture.checked_picture(
        name, (height, width), objects, problems, encoded=encoded
    )


def _to_corners(
    box: np.ndarray, height: int, width: int
) -> tuple[float, float, float, float]:
    """VOC's own indices: TFDS divides them by the size and changes no more.

    Rounding takes away the error of its float32.
    """
    y_min, x_min, y_max, x_max = np.round(
        box.astype(np.float64) * [height, width, height, width], 2
    )
    return float(x_min), float(y_min), float(x_max), float(y_max)
