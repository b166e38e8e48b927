"""The probe that a training run takes of its trunk."""

import class_folder_pictures
import keras
import pytest

from mtssl_tf.models import config as model_config
from mtssl_tf.models import input_contract
from mtssl_tf.models import trunk as trunk_lib
from mtssl_tf.training import probe as probe_lib


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return class_folder_pictures.save_class_folders(
        tmp_path_factory.mktemp("probe") / "all", 8
    )


def test_colours_are_told_apart_by_a_random_trunk(folder):
    keras.utils.set_random_seed(0)
    trunk = trunk_lib.build_trunk(
        model_config.TrunkConfig(50, num_units=(1, 1, 2), width=0.125)
    )
    probe = probe_lib.Probe(str(folder), image_px=64)
    first = probe.measure(trunk, input_contract.InputContract())
    assert set(first) == {"knn_top1", "linear_top1"}
    assert min(first.values()) > 60.0  # chance is 20
    assert probe.measure(trunk, input_contract.InputContract()) == first


def test_a_folder_without_a_split_is_cut_by_the_seed(folder):
    train, test = probe_lib.open_train_and_test(str(folder), 40, seed=0)
    assert (len(train), len(test)) == (30, 10)
    again, _ = probe_lib.open_train_and_test(str(folder), 40, seed=0)
    other, _ = probe_lib.open_train_and_test(str(folder), 40, seed=1)
    assert again.digest() == train.digest() != other.digest()


def test_train_and_test_folders_are_used_where_they_are(tmp_path):
    class_folder_pictures.save_class_folders(tmp_path / "train", 4)
    class_folder_pictures.save_class_folders(tmp_path / "test", 3)
    train, test = probe_lib.open_train_and_test(str(tmp_path), 2, seed=0)
    assert (len(train), len(test)) == (10, 10)
    (tmp_path / "test" / "red").rename(tmp_path / "test" / "scarlet")
    with pytest.raises(ValueError, match="scarlet"):
        probe_lib.open_train_and_test(str(tmp_path), 2, seed=0)


def test_pictures_that_cannot_be_decoded_are_skipped(tmp_path, caplog):
    class_folder_pictures.save_class_folders(tmp_path / "train", 2)
    class_folder_pictures.save_class_folders(tmp_path / "test", 2)
    (tmp_path / "train" / "red" / "0.png").write_bytes(b"")
    (tmp_path / "train" / "red" / "._0.png").write_bytes(b"AppleDouble")
    with caplog.at_level("WARNING"):
        probe_lib.Probe(str(tmp_path), image_px=32)
    assert "Skipped red/0.png: the file is empty" in caplog.text
    for path in tmp_path.glob("test/*/*.png"):
        path.write_text("<html></html>")
    with pytest.raises(ValueError, match="None of the 10 .*test can be used"):
        probe_lib.Probe(str(tmp_path), image_px=32)


def test_a_class_of_one_picture_is_named(tmp_path):
    class_folder_pictures.save_class_folders(tmp_path, 1)
    with pytest.raises(ValueError, match="blue"):
        probe_lib.open_train_and_test(str(tmp_path), 40, seed=0)
