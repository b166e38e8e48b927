"""Lists, several sets at once, tar shards and URLs are all one source.

Far files lie in fsspec's memory file system.
"""

import codecs
import io
import os
import tarfile

import cv2
import numpy as np
import pytest
import tensorflow as tf

from mtssl_tf.data import kept_list
from mtssl_tf.data import listing
from mtssl_tf.data import open_source
from mtssl_tf.data import remote_reads
from mtssl_tf.data import skipped as skipped_lib
from mtssl_tf.files import walk
from mtssl_tf.process import paths

fsspec = pytest.importorskip("fsspec")


def _png(value):
    image = np.full((24, 32, 3), value, np.uint8)
    return cv2.imencode(".png", image)[1].tobytes()


def _folder(folder, values):
    folder.mkdir(parents=True)
    for value in values:
        (folder / f"{value}.png").write_bytes(_png(value))
    return folder


def _values(source, count, seed=1):
    stream = source.stream(
        tf.data.Dataset.range(count), seed, skipped_lib.SkippedExamples()
    )
    return [int(example["image"][0, 0, 0]) for example in stream]


def _read_both_ways(source):
    pictures = [source.decode(number) for number in range(len(source))]
    streamed = source.stream_once(None, skipped_lib.SkippedExamples())
    for (image, _), expected in zip(streamed, pictures, strict=True):
        np.testing.assert_array_equal(image, expected)
    return [int(picture[0, 0, 0]) for picture in pictures]


def test_several_sets_are_one(tmp_path):
    one = _folder(tmp_path / "one", (10, 11))
    two = _folder(tmp_path / "two", (20, 21, 22))
    source = open_source.open_pictures(f"{one},{two}")
    assert source.names[0] == "one/10.png" and source.names[-1] == "two/22.png"
    assert _read_both_ways(source) == [10, 11, 20, 21, 22]
    assert sorted(_values(source, 5)) == [10, 11, 20, 21, 22]
    some = source.subset(np.array([4, 1]))
    assert _read_both_ways(some) == [22, 11]


def test_names_stay_apart_and_when_the_data_moves(tmp_path):
    names = []
    for place in ("here", "there"):
        one = _folder(tmp_path / place / "a" / "x", (1,))
        two = _folder(tmp_path / place / "b" / "x", (1,))
        source = open_source.open_pictures(f"{one},{two}")
        names.append(source.names)
    assert names[0] == names[1] == ("0:x/1.png", "1:x/1.png")


def test_a_folder_with_a_comma_is_that_folder(tmp_path):
    comma = _folder(tmp_path / "a,b", (5,))
    assert paths.split(str(comma)) == [str(comma)]
    assert len(open_source.open_pictures(str(comma))) == 1
    with pytest.raises(ValueError, match="/x twice"):
        paths.split("/x,/y,/x")


def test_classes_of_several_sets_are_joined(tmp_path):
    for side, names in (("one", "ab"), ("two", "bc")):
        for name in names:
            _folder(tmp_path / side / name, (ord(name),))
    source = open_source.open_labelled(f"{tmp_path}/one,{tmp_path}/two")
    assert source.class_names == ("a", "b", "c")
    assert [source.read_class(n) for n in range(4)] == [0, 1, 1, 2]


def test_a_list_of_paths(tmp_path):
    _folder(tmp_path / "cat", (1, 2))
    far = _folder(tmp_path / "else" / "dog", (3,))
    text = f"cat/2.png\n\ncat/1.png\r\n{far}/3.png\ncat/2.png\ncat/gone.png\n"
    (tmp_path / "a.txt").write_text(text)
    source = open_source.open_pictures(f"list:{tmp_path}/a.txt")
    assert source.names[:2] == ("cat/2.png", "cat/1.png")
    assert source.class_names == ("cat", "dog")
    skipped = skipped_lib.SkippedExamples()
    images = [int(i[0, 0, 0]) for i, _ in source.stream_once(None, skipped)]
    assert images == [2, 1, 3]
    assert [name for name, _ in skipped.items()] == ["cat/gone.png"]
    assert source.digest() == source.digest()


def test_a_list_as_people_and_editors_write_it(tmp_path, monkeypatch):
    # A kind of fault: a mark or a blank is taken for a part of a name.
    monkeypatch.setenv("HOME", str(tmp_path))
    _folder(tmp_path / "a", (1, 2, 3))
    text = "a/1.png \n./a/1.png\r\n a//2.png\na/2.png\n~/a/3.png\t\n \n"
    path = tmp_path / "a.txt"
    path.write_bytes(codecs.BOM_UTF8 + text.encode())
    source = open_source.open_pictures(f"list:{path}")
    assert source.names == ("a/1.png", "a//2.png", f"{tmp_path}/a/3.png")
    assert _read_both_ways(source) == [1, 2, 3]


def test_what_an_earlier_version_kept_of_a_list_is_not_gone(tmp_path, caplog):
    path = tmp_path / "a.txt"
    path.write_text("a.png \n./a.png\nb.png\n")
    found = walk.Found(
        f"list:{path}", ("a.png ", "./a.png", "b.png"), (), (), ()
    )
    changes = listing.changes_since(found, ())
    assert not changes.new and not changes.gone


def test_a_list_has_a_bound_and_is_no_pipe(tmp_path):
    path = tmp_path / "a.txt"
    os.mkfifo(path)
    with pytest.raises(OSError, match="Is a pipe.*a.txt"):
        open_source.open_pictures(f"list:{path}")
    path.unlink()
    path.touch()
    os.truncate(path, 2**32)
    with pytest.raises(ValueError, match=f"a.txt has {2**32} bytes, above"):
        open_source.open_pictures(f"list:{path}")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "is empty"),
        (b"a.png\nb.png\n", "nothing is at .*a.png, nor at 1 others of its 2"),
        (b"\x89PNG\0", "is no text"),
    ],
)
def test_a_list_of_nothing_is_named(tmp_path, text, said):
    (tmp_path / "a.txt").write_bytes(text)
    with pytest.raises((ValueError, FileNotFoundError), match=said):
        open_source.open_pictures(f"list:{tmp_path}/a.txt")
    with pytest.raises(FileNotFoundError, match="there is no such file"):
        open_source.open_pictures(f"list:{tmp_path}/none.txt")


def test_a_run_keeps_the_lists_of_all_its_places(tmp_path):
    one = _folder(tmp_path / "one", (10,))
    two = _folder(tmp_path / "two", (20,))
    (tmp_path / "a.txt").write_text("one/10.png\n")
    spec = f"{one},{two},list:{tmp_path}/a.txt"

    def open_kept():
        kept = kept_list.KeptLists(tmp_path / "images.list")
        source = open_source.open_pictures(spec, kept.files_below)
        hashes = kept.hash_names(source.names)
        kept.save()
        return source.names, hashes.tolist()

    first = open_kept()
    (two / "21.png").write_bytes(_png(21))
    (tmp_path / "a.txt").write_text("one/10.png\ntwo/20.png\n")
    assert open_kept() == first
    assert len(list(tmp_path.glob("images.list*"))) == 3


def _tar(path, members):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, contents in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(contents)
            archive.addfile(info, io.BytesIO(contents))


def _shards(folder):
    _tar(
        folder / "0.tar",
        {
            "a.png": _png(10),
            "a.cls": b"7\n",
            "b.x.png": _png(11),
            "b.cls": b"12",
        },
    )
    long_name = f"{'n' * 120}.png"  # beyond the header of a member
    _tar(
        folder / "1.tar",
        {"._a.png": b"macOS", long_name: _png(20), f"{'n' * 120}.cls": b"7"},
    )


@pytest.mark.parametrize("form", ["webdataset:{}/?.tar", "{}/*.tar"])
def test_tar_shards_are_read_in_any_order(tmp_path, form):
    _shards(tmp_path)
    source = open_source.open_labelled(form.format(tmp_path))
    assert source.names[:2] == ("0.tar/a.png", "0.tar/b.x.png")
    assert _read_both_ways(source) == [10, 11, 20]
    assert source.class_names == ("7", "12")
    assert [source.read_class(number) for number in range(3)] == [0, 1, 0]


def test_folders_in_a_tar_are_classes(tmp_path):
    _tar(tmp_path / "a.tar", {"./x/1.png": _png(1), "./y/2.png": _png(2)})
    source = open_source.open_pictures(f"{tmp_path}/a.tar")
    assert source.class_names == ("x", "y")


@pytest.mark.parametrize(
    "harm, said",
    [
        (lambda data: data[: 4 * 1024], "damaged or cut off at byte 4096"),
        (lambda data: data[: 4 * 1024 + 100], "cut off at byte 4096"),
        (
            lambda data: data[:4101] + b"\x01" + data[4102:],
            "damaged or cut off at byte 4096",
        ),
        (lambda data: data + data, "another archive behind its end at byte"),
    ],
)
def test_a_tar_that_ends_too_early_is_named(tmp_path, harm, said):
    """The kind: half of a file is used, without a word."""
    path = tmp_path / "a.tar"
    _tar(path, {f"{n}.png": _png(n) for n in range(10)})
    data = path.read_bytes()
    assert data[4096:4101] == b"4.png"  # a header and a block each
    assert len(open_source.open_pictures(str(path))) == 10
    path.write_bytes(harm(data))
    with pytest.raises(ValueError, match=f"a.tar .*{said}"):
        open_source.open_pictures(str(path))


def test_links_in_a_tar_are_named(tmp_path, caplog):
    # A kind of fault: members are dropped without a word.
    path = tmp_path / "a.tar"
    _tar(path, {"1.png": _png(1)})
    with tarfile.open(path, "a") as archive:
        info = tarfile.TarInfo("2.png")
        info.type, info.linkname = tarfile.LNKTYPE, "1.png"
        archive.addfile(info)
    source = open_source.open_pictures(str(path))
    assert source.names == ("a.tar/1.png",)
    assert "Left out 1 members" in caplog.text and "2.png" in caplog.text


def _claim(path, name, kind, num_bytes):
    """Writes a tar whose first member claims bytes that take no space."""
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, num_bytes
    png = _png(7)
    last = tarfile.TarInfo("b.png")
    last.size = len(png)
    with open(path, "wb") as file:
        file.write(info.tobuf(tarfile.GNU_FORMAT))
        file.seek(num_bytes, os.SEEK_CUR)
        file.write(last.tobuf() + png)
        file.seek(-len(png) % 512 + 10240, os.SEEK_CUR)
        file.truncate()


@pytest.mark.parametrize(
    "kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME]
)
def test_notes_in_a_tar_have_a_bound(tmp_path, kind):
    # A kind of fault: what a file claims to need is asked of memory.
    _claim(tmp_path / "a.tar", "note", kind, 2**31)
    with pytest.raises(ValueError, match=f"a.tar .*claim {2**31} bytes"):
        open_source.open_pictures(f"{tmp_path}/a.tar")


def test_members_of_a_tar_have_a_bound(tmp_path):
    _claim(tmp_path / "a.tar", "a.png", tarfile.REGTYPE, 2**32)
    source = open_source.open_pictures(f"{tmp_path}/a.tar")
    skipped = skipped_lib.SkippedExamples()
    images = [int(i[0, 0, 0]) for i, _ in source.stream_once(None, skipped)]
    assert images == [7]
    ((name, reason),) = skipped.items()
    assert name == "a.tar/a.png" and f"it has {2**32} bytes" in reason
    _claim(tmp_path / "b.tar", "b.cls", tarfile.REGTYPE, 2**32)
    with pytest.raises(ValueError, match=f"b.cls has {2**32} bytes, above"):
        open_source.open_pictures(f"{tmp_path}/b.tar")


def test_names_in_a_tar_are_of_any_bytes(tmp_path):
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    folder.mkdir()
    odd = os.fsdecode(b"\xe9")
    _tar(
        folder / "a.tar",
        {
            **{f"{odd}{n}.png": _png(n) for n in (10, 11)},
            f"{odd}10.cls": b"\xe9",
            f"{odd}11.cls": "\N{SUPERSCRIPT TWO}".encode(),
        },
    )
    source = open_source.open_pictures(f"{folder}/a.tar")
    for text in (*source.names, *source.class_names, source.description):
        text.encode()
    skipped = skipped_lib.SkippedExamples()
    assert len(list(source.stream_once(None, skipped))) == 2


def test_a_pipe_is_no_picture(tmp_path):
    _folder(tmp_path / "a", (10,))
    os.mkfifo(tmp_path / "a" / "pipe.png")
    (tmp_path / "list").write_text(
        f"{tmp_path}/a/10.png\n{tmp_path}/a/pipe.png\n"
    )
    skipped = skipped_lib.SkippedExamples()
    of_list = open_source.open_pictures(f"list:{tmp_path}/list")
    assert len(list(of_list.stream_once(None, skipped))) == 1
    ((_, reason),) = skipped.items()
    assert reason == "it is no regular file"
    assert len(open_source.open_pictures(f"file://{tmp_path}/a")) == 1


def test_what_is_no_tar_is_named(tmp_path):
    (tmp_path / "a.tar").write_bytes(b"no archive" * 100)
    with pytest.raises(ValueError, match="a.tar is cut off or no tar"):
        open_source.open_pictures(f"{tmp_path}/a.tar")
    _tar(tmp_path / "b.tar", {"a.txt": b"text"})
    with pytest.raises(ValueError, match="none of the 1 members is a picture"):
        open_source.open_pictures(f"{tmp_path}/b.tar")
    with pytest.raises(FileNotFoundError, match="no file matches"):
        open_source.open_pictures(f"webdataset:{tmp_path}/c*.tar")


@pytest.fixture
def far(tmp_path):
    """Puts a local folder into memory:// and gives its URL."""
    system = fsspec.filesystem("memory")

    def put(folder, name):
        system.put(str(folder), f"/{tmp_path.name}/{name}", recursive=True)
        return f"memory://{tmp_path.name}/{name}"

    return put


def test_a_far_folder_is_what_it_is_here(tmp_path, far):
    near = tmp_path / "near"
    _folder(near / "a", range(10, 50))
    _folder(near / "b", range(50, 90))
    (near / "a" / ".hidden.png").write_bytes(_png(0))
    url = far(near, "far")
    here, there = map(open_source.open_pictures, (str(near), url))
    assert here.names == there.names
    assert here.class_names == there.class_names == ("a", "b")
    assert _values(here, 200) == _values(there, 200)
    part = there.subset(np.arange(20, 60))
    assert _values(part, 70) == _values(here.subset(np.arange(20, 60)), 70)
    skipped = skipped_lib.SkippedExamples()
    assert len(list(part.stream_once(None, skipped))) == 40


def test_far_shards_and_records(tmp_path, far):
    near = tmp_path / "near"
    _shards(near)
    with tf.io.TFRecordWriter(str(near / "a.records")) as writer:
        for value in (1, 2, 3):
            feature = tf.train.Feature(
                bytes_list=tf.train.BytesList(value=[_png(value)])
            )
            features = tf.train.Features(feature={"image/encoded": feature})
            writer.write(
                tf.train.Example(features=features).SerializeToString()
            )
    url = far(near, "far")
    shards = open_source.open_pictures(f"webdataset:{url}/*.tar")
    assert _read_both_ways(shards) == [10, 11, 20]
    records = open_source.open_pictures(f"tfrecord:{url}/a.*")
    assert _read_both_ways(records) == [1, 2, 3]
    assert sorted(_values(records, 3)) == [1, 2, 3]
    _folder(tmp_path / "beside", (9,))
    both = open_source.open_pictures(f"{tmp_path}/beside,{url}/0.tar")
    assert sorted(_values(both, 3)) == [9, 10, 11]


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("memory://nowhere", "memory://nowhere: nothing is there"),
        ("nobody://x/y", "nobody://x/y: Protocol not known: nobody"),
    ],
)
def test_what_is_not_reached_is_named(url, said):
    with pytest.raises((ValueError, OSError), match=said):
        open_source.open_pictures(url)


def test_reads_ahead_are_bounded_and_change_nothing():
    asked = []

    def read(number):
        asked.append(number)
        if number == 3:
            raise OSError("gone")
        return bytes([number]) * 100

    reads = remote_reads.RemoteReads(read, max_bytes=250)
    reads.read_ahead(np.arange(6))
    assert sorted(asked) == list(range(6))
    assert [reads.read(n) for n in (0, 5)] == [b"\0" * 100, b"\5" * 100]
    with pytest.raises(OSError, match="gone"):
        reads.read(3)
    assert len(reads._kept) == 2
