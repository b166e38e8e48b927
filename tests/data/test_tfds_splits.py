"""Labelled pictures of TensorFlow Datasets."""

import numpy as np
import pytest
import tensorflow_datasets as tfds

from mtssl_tf.data import open_source
from mtssl_tf.data import skipped as skipped_lib


class TinyClasses(tfds.core.GeneratorBasedBuilder):
    """Six pictures of three classes, each of its class's grey."""

    VERSION = tfds.core.Version("1.0.0")
    FEATURES = {
        "image": tfds.features.Image(encoding_format="png"),
        "label": tfds.features.ClassLabel(names=["ant", "bee", "cat"]),
    }

    def _info(self):
        features = tfds.features.FeaturesDict(self.FEATURES)
        return tfds.core.DatasetInfo(builder=self, features=features)

    def _split_generators(self, unused_dl_manager):
        return {"train": self._generate_examples()}

    def _generate_examples(self):
        for index in range(6):
            image = np.full((8, 8, 3), 50 * (index % 3), np.uint8)
            example = {"image": image, "label": index % 3}
            yield index, {name: example[name] for name in self.FEATURES}


class TinyNameless(TinyClasses):
    """The same pictures without their classes."""

    FEATURES = {"image": TinyClasses.FEATURES["image"]}


def _use(builder, folder, monkeypatch):
    monkeypatch.setattr(tfds, "builder", lambda name: builder(data_dir=folder))


def test_a_split_is_read_with_its_classes(tmp_path, monkeypatch):
    _use(TinyClasses, tmp_path, monkeypatch)
    pictures = open_source.open_labelled("tfds:tiny_classes:train")
    assert pictures.class_names == ("ant", "bee", "cat")
    assert len(pictures) == 6
    for seed in (None, 3):
        numbers = []
        stream = pictures.stream_once(seed, skipped_lib.SkippedExamples())
        for picture, number in stream.as_numpy_iterator():
            assert (picture == 50 * number).all()
            numbers.append(number)
        assert sorted(numbers) == [0, 0, 1, 1, 2, 2]


def test_a_data_set_without_classes_is_refused(tmp_path, monkeypatch):
    _use(TinyNameless, tmp_path, monkeypatch)
    with pytest.raises(ValueError, match="'label'"):
        open_source.open_labelled("tfds:tiny_nameless:train")
