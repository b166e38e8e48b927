"""Folders of classes: what is found, in which order, and what is refused."""

from class_folder_pictures import COLORS
from class_folder_pictures import save_class_folders
import cv2
import numpy as np
import pytest

from mtssl_tf.frozen import labelled_pictures
from mtssl_tf.frozen import views


@pytest.fixture
def folder(tmp_path):
    return save_class_folders(tmp_path / "train")


def test_every_picture_comes_with_its_folders_class(folder):
    pictures = labelled_pictures.open_labelled(str(folder))
    assert pictures.class_names == tuple(sorted(COLORS))
    assert pictures.num_pictures == 30
    for contents, number in pictures.stream(None).as_numpy_iterator():
        picture = cv2.imdecode(np.frombuffer(contents, np.uint8), 1)
        color = COLORS[pictures.class_names[number]]
        assert np.abs(picture.mean(axis=(0, 1)) - color).max() < 15


def test_order_is_fixed_without_a_seed_and_follows_the_seed_with_one(folder):
    pictures = labelled_pictures.open_labelled(str(folder))

    def order(seed):
        stream = pictures.stream(seed)
        return [contents for contents, _ in stream.as_numpy_iterator()]

    assert order(None) == order(None)
    assert order(3) == order(3)
    assert order(3) != order(4)
    assert sorted(order(3)) == sorted(order(None))


def test_digest_follows_the_pictures(folder):
    before = labelled_pictures.open_labelled(str(folder)).digest
    assert labelled_pictures.open_labelled(str(folder)).digest == before
    (folder / "red" / "0.png").unlink()
    assert labelled_pictures.open_labelled(str(folder)).digest != before


def test_an_empty_class_is_named(folder):
    (folder / "purple").mkdir()
    (folder / "purple" / "notes.txt").write_text("none yet")
    with pytest.raises(ValueError, match="purple"):
        labelled_pictures.open_labelled(str(folder))


def test_what_is_no_folder_of_classes_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        labelled_pictures.open_labelled(str(tmp_path / "nowhere"))
    with pytest.raises(ValueError, match="a folder a class"):
        labelled_pictures.open_labelled(str(tmp_path))
    with pytest.raises(ValueError, match="tfds:mnist"):
        labelled_pictures.open_labelled("tfds:mnist")


def test_classes_of_only_one_side_are_named():
    labelled_pictures.check_same_classes(("cat", "dog"), ("cat", "dog"))
    with pytest.raises(ValueError, match="(?s)training: ant.*test: bee"):
        labelled_pictures.check_same_classes(("ant", "cat"), ("bee", "cat"))


def test_centre_view_is_the_middle_of_the_resized_picture():
    image = np.zeros((40, 60, 3), np.uint8)
    image[10:30, 20:40] = 200
    view = views.centre_view(image, 40, 20).numpy()
    assert view.dtype == np.uint8
    np.testing.assert_array_equal(view, np.full((20, 20, 3), 200))
    larger = views.centre_view(image, 80, 40).numpy()
    np.testing.assert_allclose(larger[2:-2, 2:-2], 200, atol=1)
