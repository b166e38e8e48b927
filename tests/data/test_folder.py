"""Folders of classes: what is found, in which order, and what is refused."""

import os

import class_folder_pictures
import cv2
import numpy as np
import pytest
import tensorflow as tf

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


def _names(source):
    return list(source.names)


def test_links_that_lead_back_add_no_picture_and_no_class(folder):
    """Once 1 picture became 41, trained on and held out at once."""
    pictures = open_source.open_labelled(str(folder))
    os.symlink(".", folder / "up1")
    os.symlink("..", folder / "red" / "up2")
    os.symlink("red", folder / "crimson")
    with_links = open_source.open_labelled(str(folder))
    assert with_links.class_names == pictures.class_names
    assert _names(with_links) == _names(pictures)
    assert with_links.digest() == pictures.digest()
    assert _names(open_source.open_pictures(str(folder))) == _names(pictures)


def test_class_folders_may_be_links(folder, tmp_path):
    linked = tmp_path / "linked"
    linked.mkdir()
    for name in os.listdir(folder):
        os.symlink(folder / name, linked / name)
    pictures = open_source.open_labelled(str(linked))
    assert _names(pictures) == _names(open_source.open_labelled(str(folder)))


def test_what_is_no_picture_in_a_class_is_skipped_and_named(folder):
    """Zero bytes, a web page, AppleDouble, a pipe: no traceback, no wait."""
    (folder / "red" / "empty.jpg").write_bytes(b"")
    (folder / "red" / "page.jpg").write_text("<!DOCTYPE html><html></html>")
    (folder / "red" / "._0.jpg").write_bytes(b"\0\5\x16\7")
    (folder / "red" / "strip.png").write_bytes(
        cv2.imencode(".png", np.zeros((8, 60_000), np.uint8))[1].tobytes()
    )
    os.mkfifo(folder / "red" / "pipe.jpg")
    pictures = open_source.open_labelled(str(folder))
    skipped = skipped_lib.SkippedExamples()
    stream = pictures.stream_once(None, skipped)
    assert sum(1 for _ in stream.as_numpy_iterator()) == 30
    reasons = dict(skipped.items())
    assert set(reasons) == {"red/empty.jpg", "red/page.jpg", "red/strip.png"}
    assert "empty" in reasons["red/empty.jpg"]
    assert "60000x8" in reasons["red/strip.png"]


def test_names_of_any_bytes_are_read_and_shown(folder, caplog):
    """A name is any bytes; TensorFlow and JSON take UTF-8 alone."""
    red = os.fsencode(folder / "red")
    stray = os.path.join(os.path.dirname(red), b"r\xe9d")
    os.rename(red, stray)
    os.rename(os.path.join(stray, b"0.png"), os.path.join(stray, b"\xff.png"))
    with open(os.path.join(stray, b"\xfe\n.png"), "wb") as file:
        file.write(b"no picture")
    os.rename(folder / "green", folder / "grün")
    pictures = open_source.open_labelled(str(folder))
    assert "r\\xe9d" in pictures.class_names
    assert "grün" in pictures.class_names
    assert "r\\xe9d/\\xff.png" in pictures.names
    assert len(pictures.digest()) == 64
    skipped = skipped_lib.SkippedExamples()
    stream = pictures.stream_once(None, skipped)
    assert sum(1 for _ in stream.as_numpy_iterator()) == 30
    ((name, _),) = skipped.items()
    assert name == "r\\xe9d/\\xfe\\n.png"
    positions = tf.data.Dataset.range(2)
    (example, _) = pictures.stream(positions, 0, skipped).as_numpy_iterator()
    shown = [name.decode() for name in example["class_names"]]
    assert tuple(shown) == pictures.class_names


def test_a_folder_with_brackets_is_that_folder(folder, tmp_path):
    os.rename(folder, tmp_path / "pics[1]")
    pictures = open_source.open_pictures(str(tmp_path / "pics[1]"))
    stream = pictures.stream_once(None, skipped_lib.SkippedExamples())
    assert sum(1 for _ in stream.as_numpy_iterator()) == 30
