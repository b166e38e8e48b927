"""Depth data from TFDS: a real, small data set of the same features."""

import numpy as np
import pytest
import tensorflow_datasets as tfds

from evaluation.depth import tfds as tfds_lib


class TinyDepth(tfds.core.GeneratorBasedBuilder):
    """Three training pictures and two others, like nyu_depth_v2."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        return tfds.core.DatasetInfo(
            builder=self,
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(12, 16, 3)),
                    "depth": tfds.features.Tensor(
                        shape=(12, 16), dtype=np.float16
                    ),
                }
            ),
        )

    def _split_generators(self, unused_dl_manager):
        return {
            "train": self._generate_examples(3),
            "validation": self._generate_examples(2),
        }

    def _generate_examples(self, count):
        for index in range(count):
            depth = np.full((12, 16), 1.5 + index, np.float16)
            depth[0, 0] = 0.0
            image = np.full((12, 16, 3), 10 * index, np.uint8)
            yield index, {"image": image, "depth": depth}


class TinyDigits(TinyDepth):
    """A data set without depth."""

    def _info(self):
        features = {"image": tfds.features.Image(shape=(12, 16, 3))}
        return tfds.core.DatasetInfo(
            builder=self, features=tfds.features.FeaturesDict(features)
        )


def test_reads_any_pair_in_metres(tmp_path):
    builder = TinyDepth(data_dir=tmp_path, file_format="array_record")
    builder.download_and_prepare()
    pairs = tfds_lib.TfdsPairs(builder, "train")
    assert (
        len(pairs) == 3 and len(tfds_lib.TfdsPairs(builder, "validation")) == 2
    )
    seen = set()
    for index in (2, 0, 1):
        pair = pairs[index]
        example = int(pair.rgb[0, 0, 0]) // 10
        seen.add(example)
        assert pair.depth_m.dtype == np.float32
        assert pair.depth_m[5, 5] == 1.5 + example
        assert pair.depth_m[0, 0] == 0
    assert seen == {0, 1, 2}
    assert "tiny_depth/1.0.0:train 3" in pairs.fingerprint()


def test_unknown_data_set():
    with pytest.raises(ValueError, match="'nyu_depth_v3'.*nyu_depth_v2"):
        tfds_lib.load_depth_tfds("nyu_depth_v3")


def test_data_set_without_depth():
    with pytest.raises(ValueError, match=r"tiny_digits has .*\['image'\]"):
        tfds_lib.load_depth_tfds("tiny_digits")
