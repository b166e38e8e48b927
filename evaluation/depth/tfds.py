"""NYU Depth v2 from TensorFlow Datasets: the 50 thousand frames of FastDepth.

Its `validation` split holds the official 654 test pictures. Its training set
is a sample of the raw videos, so that figures of it are not comparable with
those of a training on the 795 labelled pictures.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from evaluation.depth import pairs
from mtssl_tf.data import tfds_builder


class TfdsPairs:
    """A split of a TFDS data set with features `image` and `depth`."""

    def __init__(self, builder: Any, split: str):
        self._name = f"tfds:{builder.info.full_name}:{split}"
        self._examples = builder.as_data_source(split=split)

    def __len__(self) -> int:
        return len(self._examples)

    def __getitem__(self, index: int) -> pairs.DepthPair:
        example = self._examples[index]
        return pairs.checked_pair(
            f"{self._name}[{index}]",
            np.asarray(example["image"]),
            np.asarray(example["depth"], np.float32),
        )

    def fingerprint(self) -> str:
        return f"{self._name} {len(self)}"


def load_depth_tfds(name: str) -> pairs.DepthData:
    """Opens splits `train` and `validation`; downloads them if need be.

    Args:
        name: such as 'nyu_depth_v2'.

    Raises:
        ValueError: TFDS has no such data set, or it holds no depth.
    """
    # Pairs are read in random order, which TFRecord files cannot do.
    builder = tfds_builder.open_builder(
        name, "nyu_depth_v2", file_format="array_record"
    )
    features = builder.info.features or {}
    if not {"image", "depth"} <= set(features):
        raise ValueError(
            f"tfds:{name} has features {sorted(features)}, and depth "
            "prediction needs image and depth. Expected nyu_depth_v2."
        )
    tfds_builder.prepare(builder)
    return pairs.DepthData(
        train=TfdsPairs(builder, "train"),
        test=TfdsPairs(builder, "validation"),
        source=f"tfds:{builder.info.full_name}",
        split="train/validation",
        test_depth="as TFDS has it",
    )
