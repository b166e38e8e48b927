"""A run keeps its list of pictures, whatever becomes of their folder.

The kind of fault: what is cached and not held against what it is a copy of.
"""

import os
import shutil

import pytest

from mtssl_tf.data import folder as folder_lib
from mtssl_tf.data import kept_list
from mtssl_tf.data import source as source_lib

_FILE = "images.list"
_SUFFIXES = folder_lib.PICTURE_SUFFIXES


def _write(folder, *names):
    for name in names:
        path = os.path.join(os.fsencode(folder), os.fsencode(name))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(b"x")


def _settle(folder):
    for path, _, _ in os.walk(folder):
        os.utime(path, (10**9, 10**9))


def _start(run, folder):
    """Returns what a start of a run takes."""
    kept = kept_list.KeptList(run / _FILE)
    names = kept.files_below(folder, _SUFFIXES).names
    kept.save()
    return names


@pytest.fixture
def pics(tmp_path):
    _write(tmp_path / "pics", "1.jpg", "a/2.png", "a/b/3.jpg")
    _settle(tmp_path / "pics")
    return tmp_path / "pics"


_NAMES = ("1.jpg", "a/2.png", "a/b/3.jpg")


def test_a_later_start_reads_no_folder(pics, tmp_path, monkeypatch):
    assert _start(tmp_path, pics) == _NAMES

    def refuse(folder):
        raise AssertionError(folder)

    monkeypatch.setattr(os, "scandir", refuse)
    assert _start(tmp_path, pics) == _NAMES
    assert _start(tmp_path, f"{pics}/") == _NAMES
    assert _start(tmp_path, os.path.relpath(pics)) == _NAMES


def test_new_files_are_left_out_and_counted_at_each_start(
    pics, tmp_path, caplog
):
    _start(tmp_path, pics)
    _write(pics, "0.jpg", "c/4.jpg", "no_picture.txt")
    for _ in range(3):
        caplog.clear()
        assert _start(tmp_path, pics) == _NAMES
        assert "has 2 files that were not there" in caplog.text
        assert "0.jpg, c/4.jpg" in caplog.text
    (tmp_path / "new_run").mkdir()
    assert _start(tmp_path / "new_run", pics) == ("0.jpg", *_NAMES, "c/4.jpg")


def test_files_that_are_gone_are_named(pics, tmp_path, caplog):
    _start(tmp_path, pics)
    (pics / "a" / "2.png").unlink()
    for _ in range(2):
        caplog.clear()
        assert _start(tmp_path, pics) == _NAMES
        assert "1 files of --images" in caplog.text
        assert "a/2.png" in caplog.text
    # The run went on without it, and does elsewhere.
    assert _start(tmp_path, pics.rename(tmp_path / "moved")) == _NAMES
    _write(tmp_path / "moved", "a/2.png")
    caplog.clear()
    assert _start(tmp_path, tmp_path / "moved") == _NAMES
    assert "gone" not in caplog.text


def test_a_folder_written_just_now_is_read_once_more_only(
    tmp_path, monkeypatch
):
    _write(tmp_path / "pics", "1.jpg")
    _start(tmp_path, tmp_path / "pics")
    _settle(tmp_path / "pics")
    _start(tmp_path, tmp_path / "pics")
    monkeypatch.setattr(os, "scandir", None)
    assert _start(tmp_path, tmp_path / "pics") == ("1.jpg",)


def test_a_moved_folder_is_looked_at_whole(pics, tmp_path, caplog):
    _start(tmp_path, pics)
    _write(pics, "a/new.jpg")
    moved = pics.rename(tmp_path / "moved")
    for _ in range(2):
        caplog.clear()
        assert _start(tmp_path, moved) == _NAMES
        assert "a/new.jpg" in caplog.text
    copied = shutil.copytree(moved, tmp_path / "copied")
    (copied / "a" / "b" / "3.jpg").unlink()
    _settle(copied)
    with pytest.raises(ValueError, match="copied.*moved: 1 of 3.*a/b/3.jpg"):
        _start(tmp_path, copied)
    # Nothing is kept of what was refused.
    assert _start(tmp_path, moved) == _NAMES


def test_names_of_any_bytes_are_kept(tmp_path):
    folder = tmp_path / "pics"
    _write(folder, b"\xff\n.jpg", "grün/ .jpg", "grün/💡.jpg")
    first = _start(tmp_path, folder)
    assert len(first) == 3
    assert _start(tmp_path, folder) == first
    os.unlink(os.path.join(os.fsencode(folder), b"\xff\n.jpg"))
    assert _start(tmp_path, folder) == first


def test_the_split_is_the_same_from_a_kept_list(tmp_path, monkeypatch):
    names = [b"\xff.jpg", *(f"{number}.jpg" for number in range(60))]
    _write(tmp_path / "pics", *names)

    def split():
        kept = kept_list.KeptList(tmp_path / _FILE)
        opened = folder_lib.open_folder(
            str(tmp_path / "pics"), kept.files_below
        )
        found = source_lib.split_source(
            opened, 0.3, kept.hash_names(opened.names)
        )
        kept.save()
        return opened, found.training.names, found.held_out.names

    source, *first = split()
    expected = source_lib.split_source(source, 0.3)
    assert first == [expected.training.names, expected.held_out.names]
    monkeypatch.setattr(source_lib, "hash_names", None)
    assert split()[1:] == tuple(first)


def test_classes_are_the_same_from_a_kept_list(tmp_path):
    folder = tmp_path / "pics"
    _write(folder, "cat/1.jpg", "cat dog/1.jpg", "cat/2.jpg", "bee/deep/1.jpg")

    def source():
        kept = kept_list.KeptList(tmp_path / _FILE)
        opened = folder_lib.open_folder(str(folder), kept.files_below)
        kept.save()
        return opened

    first, again = source(), source()
    assert first.class_names == again.class_names == ("bee", "cat", "cat dog")
    assert first.names == again.names
    for index, name in enumerate(again.names):
        number = again.read_class(index)
        assert again.class_names[number] == name.split("/")[0]


@pytest.mark.parametrize("harm", ["empty", "text", "cut", "bit"])
def test_a_damaged_list_is_named(pics, tmp_path, harm):
    _start(tmp_path, pics)
    path = tmp_path / _FILE
    whole = path.read_bytes()
    bit = whole[:90] + bytes([whole[90] ^ 1]) + whole[91:]
    harmed = {"empty": b"", "text": b"1.jpg\n", "cut": whole[:-40], "bit": bit}
    path.write_bytes(harmed[harm])
    with pytest.raises(ValueError, match=f"{_FILE} is damaged.*Remove it"):
        _start(tmp_path, pics)
    path.unlink()
    assert _start(tmp_path, pics) == _NAMES


def test_a_later_format_is_named(pics, tmp_path, monkeypatch):
    monkeypatch.setattr(kept_list, "FORMAT", 7)
    _start(tmp_path, pics)
    monkeypatch.undo()
    with pytest.raises(ValueError, match="has format 7.*reads up to 1"):
        _start(tmp_path, pics)
