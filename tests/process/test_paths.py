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


def test_what_is_there_under_a_name_with_a_comma_is_meant(
    monkeypatch, tmp_path
):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "a,b").mkdir()
    for start in ("", "list:", "tfrecord:", "webdataset:"):
        assert paths.split(f"{start}~/a,b") == [f"{start}{tmp_path}/a,b"]
    assert paths.split("~/c,~/d") == [f"{tmp_path}/c", f"{tmp_path}/d"]


@pytest.mark.parametrize("text", [",", "a,", ",b", "a,,b"])
def test_nothing_beside_a_comma_is_a_mistake(text):
    # A kind of fault: --images=$A,$B with variables that are not set.
    with pytest.raises(ValueError, match="names nothing beside a comma"):
        paths.split(text)


def test_a_folder_within_another_is_not_there_twice(tmp_path):
    # A kind of fault: one picture under two names, trained on and held out.
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "ab").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "a")
    a = tmp_path / "a"
    for other in (f"{a}/", f"{a}/b", f"{a}/../a", tmp_path / "link"):
        for text in (f"{a},{other}", f"{other},{a}"):
            with pytest.raises(ValueError, match="would be there twice"):
                paths.split(text)
    assert paths.split(f"{a},{tmp_path}/ab") == [str(a), f"{tmp_path}/ab"]


@pytest.mark.parametrize(
    "start, end",
    [("", ""), ("list:", "/a.txt"), ("tfrecord:", "/*"), ("webdataset:", "/*")],
)
def test_one_place_has_many_names(tmp_path, start, end):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    one, other = (f"{start}{tmp_path}/{x}{end}" for x in ("real", "link"))
    assert paths.is_same_place(one, other)
    assert paths.is_same_place(f"{tmp_path},{one}", f"{tmp_path}/,{other}") == (
        bool(start)  # a folder is there with the first already
    )
    assert not paths.is_same_place(one, one.replace("real", "else"))


def test_a_home_that_is_not_there_is_named(monkeypatch):
    with pytest.raises(ValueError, match="~nobody_here/x.*'nobody_here'"):
        paths.expand("~nobody_here/x")
    monkeypatch.setenv("HOME", "")
    with pytest.raises(ValueError, match="~/x .*HOME is not set"):
        paths.expand("~/x")
