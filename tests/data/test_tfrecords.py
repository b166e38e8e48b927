"""Classes of TFRecord files, as TF-Slim writes them."""

import os

import cv2
import numpy as np
import pytest
import tensorflow as tf

from mtssl_tf.data import class_list
from mtssl_tf.data import open_source
from mtssl_tf.data import skipped as skipped_lib

# Of ImageNet's numbers some are left out, and 0 is nobody's.
_CLASS_LIST = "0:background\n7:ant\n3:bee\n"


def _write(folder, labels):
    """A picture of each label's grey, with TF-Slim's keys."""
    with tf.io.TFRecordWriter(str(folder / "train-0")) as writer:
        for label in labels:
            image = np.full((8, 8, 3), 20 * label, np.uint8)
            contents = cv2.imencode(".png", image)[1].tobytes()
            feature = {
                "image/encoded": tf.train.Feature(
                    bytes_list=tf.train.BytesList(value=[contents])
                ),
                "image/class/label": tf.train.Feature(
                    int64_list=tf.train.Int64List(value=[label])
                ),
            }
            features = tf.train.Features(feature=feature)
            example = tf.train.Example(features=features)
            writer.write(example.SerializeToString())
    return f"tfrecord:{folder}/train-*"


def test_records_have_the_classes_of_the_list_beside_them(tmp_path):
    pattern = _write(tmp_path, [3, 7, 3])
    (tmp_path / "labels.txt").write_text(_CLASS_LIST)
    source = open_source.open_labelled(pattern)
    assert source.class_names == ("background", "bee", "ant")
    for part in (source, source.subset(np.array([1, 2]))):
        stream = part.stream_once(None, skipped_lib.SkippedExamples())
        for image, number in stream.as_numpy_iterator():
            label = {"bee": 3, "ant": 7}[source.class_names[number]]
            assert (image == 20 * label).all()


def test_two_classes_of_one_name_are_told_apart(tmp_path):
    # As ImageNet's two cranes: one of them was lost in what is by name.
    (tmp_path / "labels.txt").write_text("1:crane\n2:\n5:crane\n6:ox\n")
    assert class_list.load_class_list(tmp_path) == {
        1: "crane (1)",
        2: "(2)",
        5: "crane (5)",
        6: "ox",
    }


def test_a_picture_and_its_class_are_one_read_over_a_network(tmp_path):
    fsspec = pytest.importorskip("fsspec")
    _write(tmp_path, [3, 7, 3])
    system = fsspec.filesystem("memory")
    system.pipe("/records/labels.txt", _CLASS_LIST.encode())
    system.pipe("/records/train-0", (tmp_path / "train-0").read_bytes())
    reads = []
    cat_file = system.cat_file

    def count(path, **options):
        reads.append((path, options))
        return cat_file(path, **options)

    source = open_source.open_labelled("tfrecord:memory://records/train-*")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            type(system), "cat_file", lambda _, *a, **o: count(*a, **o)
        )
        stream = source.stream_once(None, skipped_lib.SkippedExamples())
        numbers = [int(number) for _, number in stream]
    system.rm("/records", recursive=True)
    assert [source.class_names[each] for each in numbers] == [
        "bee",
        "ant",
        "bee",
    ]
    assert len(reads) == 2  # of three: the first one's was kept


def test_records_without_a_list_have_no_classes(tmp_path):
    pattern = _write(tmp_path, [3, 7])
    assert not open_source.open_pictures(pattern).num_classes
    with pytest.raises(ValueError, match="Put TF-Slim's labels.txt"):
        open_source.open_labelled(pattern)


@pytest.mark.parametrize(
    "class_list, message",
    [
        ("3:bee\n", "image/class/label is 7, which labels.txt"),
        ("3:bee\n3:ant\n", "labels.txt: the line '3:ant'"),
        ("bee\n", "labels.txt: the line 'bee'"),
    ],
)
def test_a_list_of_other_records_is_refused(tmp_path, class_list, message):
    pattern = _write(tmp_path, [7, 3])
    (tmp_path / "labels.txt").write_text(class_list)
    with pytest.raises(ValueError, match=message):
        open_source.open_pictures(pattern)


def test_a_record_of_another_class_is_skipped_and_named(tmp_path):
    """The kind: a bad label leaves out its picture without a word."""
    pattern = _write(tmp_path, [3, 8, 7])
    (tmp_path / "labels.txt").write_text(_CLASS_LIST)
    skipped = skipped_lib.SkippedExamples()
    source = open_source.open_labelled(pattern)
    assert len(list(source.stream_once(None, skipped))) == 2
    ((name, reason),) = skipped.items()
    assert name == source.names[1]
    assert "image/class/label is 8, which labels.txt does not have" in reason


def test_a_file_of_zeros_is_named_at_once(tmp_path):
    path = tmp_path / "train-0"
    _write(tmp_path, [3])
    size = path.stat().st_size
    os.truncate(path, 2**33)
    with pytest.raises(ValueError, match=f"zeros from byte {size} on"):
        open_source.open_pictures(f"tfrecord:{path}")
