"""What is left of settings and texts when folders are taken out."""

import pytest

from mtssl_tf.process import base_names

_SETTINGS = {
    "data": {
        "images": "/home/ann lee/photos/",
        "videos": "tfds:davis:train",
        "cache_dir": "~/.cache/mtssl_tf",
        "cache_gib": 8.0,
    },
    "train": {"probe": "", "from_weights": "hf://ann/trunk", "profile": [1, 2]},
    "command": "/home/ann/.venv/bin/python -m mtssl_tf.train "
    "'--images=/home/ann lee/photos/' --set train.probe=../labels "
    "--set=data.cache_dir=/big/cache --steps=7",
    "history": [{"command": "/home/ann/x", "changes": ["/home/ann/y"]}],
}


@pytest.mark.parametrize(
    "text, expected",
    [
        ("/home/ann/photos", "photos"),
        ("runs/mine/", "mine"),
        ("~/x", "x"),
        ("photos", "photos"),
        ("/", ""),
        ("--images=/a=b/c d", "--images=c d"),
        ("train.probe=/a/b", "train.probe=b"),
        ("--set=train.probe=/a/b", "--set=train.probe=b"),
        ("tfrecord:/data/train-*", "tfrecord:train-*"),
        ("--images=tfds:x/y:train", "--images=tfds:x/y:train"),
        ("gs://bucket/photos", "gs://bucket/photos"),
        ("/home/ann/a,gs://bucket/b", "a,gs://bucket/b"),
        ("--images=tfds:x:train,/home/ann/a", "--images=tfds:x:train,a"),
        ("/home/ann/a,/home/ann/b", "a,b"),
        ("list:/home/ann/l.txt", "list:l.txt"),
    ],
)
def test_a_path_keeps_its_last_part(text, expected):
    assert base_names.of_path(text) == expected


def test_settings_keep_all_that_is_no_folder():
    short = base_names.of_settings(_SETTINGS)
    assert short == {
        "data": {
            "images": "photos",
            "videos": "tfds:davis:train",
            "cache_dir": "mtssl_tf",
            "cache_gib": 8.0,
        },
        "train": {
            "probe": "",
            "from_weights": "hf://ann/trunk",
            "profile": [1, 2],
        },
        "command": "python -m mtssl_tf.train --images=photos "
        "--set train.probe=labels --set=data.cache_dir=cache --steps=7",
        "history": [],
    }
    assert base_names.of_settings({}) == {"command": ""}


def test_a_command_that_no_shell_reads_is_kept_without_folders_alone():
    assert base_names.of_command("train it's") == "train it's"
    assert base_names.of_command("train it's /home/ann") == ""


def test_a_text_names_a_settings_folder_by_its_last_part():
    text = "none: --images=/home/ann lee/photos/ holds nothing; tfds:davis"
    assert base_names.in_text(text, _SETTINGS) == (
        "none: --images=photos holds nothing; tfds:davis"
    )
