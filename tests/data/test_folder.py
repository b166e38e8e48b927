"""Folders of classes: what is found, in which order, and what is refused."""

import class_folder_pictures
import numpy as np
import pytest

from mtssl_tf.data import open_source
from mtssl_tf.data import skipped as skipped_lib
from mtssl_tf.frozen import views


@pytest.fixture
def folder(tmp_path):
    return class_folder_pictures.save_class_folders(tmp_path / "train")


def test_every_picture_comes_with_its_folders_class(folder):
    pictures = open_source.open_labelled(str(folder))
    assert pictures.class_names == tuple(sorted(class_folder_pictures.COLORS))
    assert len(pictures) == 30
    skipped = skipped_lib.SkippedExamples()
    stream = pictures.stream_once(None, skipped)
    for picture, number in stream.as_numpy_iterator():
        color = class_folder_pictures.COLORS[pictures.class_names[number]]
        assert np.abs(picture[..., ::-1].mean(axis=(0, 1)) - color).max() < 15


def test_order_is_fixed_without_a_seed_and_follows_the_seed_with_one(folder):
    pictures = open_source.open_labelled(str(folder))

    def order(seed):
        stream = pictures.stream_once(seed, skipped_lib.SkippedExamples())
        return [image.tobytes() for image, _ in stream.as_numpy_iterator()]

    assert order(None) == order(None)
    assert order(3) == order(3)
    assert order(3) != order(4)
    assert sorted(order(3)) == sorted(order(None))


def test_digest_follows_the_pictures(folder):
    before = open_source.open_labelled(str(folder)).digest()
    assert open_source.open_labelled(str(folder)).digest() == before
    (folder / "red" / "0.png").unlink()
    assert open_source.open_labelled(str(folder)).digest() != before


def test_an_empty_class_is_named(folder):
    (folder / "purple").mkdir()
    (folder / "purple" / "notes.txt").write_text("none yet")
    with pytest.raises(ValueError, match="purple"):
        open_source.open_labelled(str(folder))


def test_what_is_no_folder_of_classes_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        open_source.open_labelled(str(tmp_path / "nowhere"))
    with pytest.raises(ValueError, match="a folder a class"):
        open_source.open_labelled(str(tmp_path))
    with pytest.raises(ValueError, match="tfds:mnist"):
        open_source.open_labelled("tfds:mnist")


def test_classes_of_only_one_side_are_named():
    open_source.check_same_classes(("cat", "dog"), ("cat", "dog"))
    with pytest.raises(ValueError, match="(?s)training: ant.*test: bee"):
        open_source.check_same_classes(("ant", "cat"), ("bee", "cat"))


def test_centre_view_is_the_middle_of_the_resized_picture():
    image = np.zeros((40, 60, 3), np.uint8)
    image[10:30, 20:40] = 200
    view = views.centre_view(image, 40, 20).numpy()
    assert view.dtype == np.uint8
    np.testing.assert_array_equal(view, np.full((20, 20, 3), 200))
    larger = views.centre_view(image, 80, 40).numpy()
    np.testing.assert_allclose(larger[2:-2, 2:-2], 200, atol=1)
