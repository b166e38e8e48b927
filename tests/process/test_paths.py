"""A path is taken as a path: kind of fault: `~` and brackets used raw."""

import pytest

from mtssl_tf.process import paths


@pytest.fixture(autouse=True)
def home(monkeypatch):
    monkeypatch.setenv("HOME", "/home/her")


@pytest.mark.parametrize(
    "text, path",
    [
        ("", ""),
        ("~", "/home/her"),
        ("~/a b", "/home/her/a b"),
        ("tfrecord:~/x-*", "tfrecord:/home/her/x-*"),
        ("tfds:mnist:train", "tfds:mnist:train"),
        ("./~/x", "./~/x"),
        ("a~b/~", "a~b/~"),
        ("exp[1]/$HOME/*", "exp[1]/$HOME/*"),
        ("random", "random"),
    ],
)
def test_only_a_tilde_in_front_is_replaced(text, path):
    assert paths.expand(text) == path


def test_a_home_that_is_not_there_is_named(monkeypatch):
    with pytest.raises(ValueError, match="~nobody_here/x.*'nobody_here'"):
        paths.expand("~nobody_here/x")
    monkeypatch.setenv("HOME", "")
    with pytest.raises(ValueError, match="~/x .*HOME is not set"):
        paths.expand("~/x")
