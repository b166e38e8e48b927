"""Folders that loop, hide, refuse or hold what is no file.

The kind of fault: readers of folders, each with rules of its own, that take
what a link leads to twice, or wait for a pipe for ever.
"""

import os

from mtssl_tf.files import walk

_SUFFIXES = (".jpg",)


def _write(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    return path


def _relative(found):
    return [os.path.relpath(path, found.folder) for path in found.files]


def _reasons(found):
    return {
        os.path.relpath(path, found.folder): reason
        for path, reason in found.problems
    }


def test_links_that_lead_back_are_noticed(tmp_path):
    _write(tmp_path / "a" / "1.jpg")
    os.symlink(".", tmp_path / "up1")
    os.symlink("..", tmp_path / "a" / "up2")
    found = walk.files_below(tmp_path, _SUFFIXES)
    assert _relative(found) == ["a/1.jpg"]
    assert _reasons(found) == {
        "up1": "a link to a folder that is read already",
        "a/up2": "a link to a folder that is read already",
    }
    assert "Left out 2 entries" in found.describe_problems()


def test_a_link_never_takes_the_place_of_what_it_leads_to(tmp_path):
    _write(tmp_path / "z" / "1.jpg")
    os.symlink("z", tmp_path / "a")
    os.symlink("z/1.jpg", tmp_path / "0.jpg")
    assert _relative(walk.files_below(tmp_path, _SUFFIXES)) == ["z/1.jpg"]


def test_what_lies_elsewhere_comes_once_by_the_first_link(tmp_path):
    elsewhere = _write(tmp_path / "elsewhere" / "deep" / "1.jpg")
    for name in ("a", "b"):
        folder = tmp_path / "here" / name
        folder.mkdir(parents=True)
        os.symlink(elsewhere, folder / "2.jpg")
    os.symlink(elsewhere.parents[1], tmp_path / "here" / "c")
    os.symlink(elsewhere.parents[1], tmp_path / "here" / "d")
    found = walk.files_below(tmp_path / "here", _SUFFIXES)
    assert _relative(found) == ["c/deep/1.jpg"]
    assert len(found.problems) == 3


def test_hidden_and_appledouble_files_are_no_problem(tmp_path):
    for name in ("._1.jpg", ".1.jpg", ".hidden/2.jpg", "3.JPG", "4.txt"):
        _write(tmp_path / name)
    found = walk.files_below(tmp_path, _SUFFIXES)
    assert _relative(found) == ["3.JPG"]
    assert not found.problems


def test_what_is_no_file_is_named_and_never_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    os.symlink("pipe.jpg", tmp_path / "to_pipe.jpg")
    os.symlink("/dev/zero", tmp_path / "zero.jpg")
    os.symlink("nowhere", tmp_path / "gone.jpg")
    os.symlink("itself.jpg", tmp_path / "itself.jpg")
    _write(tmp_path / "folder.jpg" / "1.jpg")
    for search in (walk.files_below, walk.files_in):
        reasons = _reasons(search(tmp_path, _SUFFIXES))
        assert reasons.pop("gone.jpg") == "No such file or directory"
        assert "symbolic links" in reasons.pop("itself.jpg")
        assert reasons.pop("pipe.jpg") == "a pipe, socket or device"
        assert set(reasons) == {"to_pipe.jpg", "zero.jpg"}
    found = walk.files_below(tmp_path, _SUFFIXES)
    assert _relative(found) == ["folder.jpg/1.jpg"]


def _refuse_closed(monkeypatch):
    """By a stand-in: nothing is closed to the user that tests may run as."""
    scandir = os.scandir

    def refusing(folder):
        if os.path.basename(folder) == "closed":
            raise PermissionError(13, "Permission denied", folder)
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", refusing)


def test_a_folder_that_cannot_be_read_is_named(tmp_path, monkeypatch):
    _write(tmp_path / "open" / "1.jpg")
    _write(tmp_path / "closed" / "2.jpg")
    _refuse_closed(monkeypatch)
    found = walk.files_below(tmp_path, _SUFFIXES)
    assert _relative(found) == ["open/1.jpg"]
    assert _reasons(found) == {"closed": "Permission denied"}


def test_right_in_a_folder_every_name_counts(tmp_path):
    """A film may show one picture twice."""
    _write(tmp_path / "1.jpg")
    os.symlink("1.jpg", tmp_path / "2.jpg")
    _write(tmp_path / "below" / "3.jpg")
    found = walk.files_in(tmp_path, _SUFFIXES)
    assert _relative(found) == ["1.jpg", "2.jpg"]


def test_a_very_deep_folder_ends(tmp_path):
    here = os.getcwd()
    try:
        os.chdir(tmp_path)
        for _ in range(40):  # longer than any path may be
            os.mkdir("d" * 200)
            os.chdir("d" * 200)
    finally:
        os.chdir(here)
    _write(tmp_path / "1.jpg")
    found = walk.files_below(tmp_path, _SUFFIXES)
    assert _relative(found) == ["1.jpg"]
    assert "File name too long" in found.describe_problems()


def _settle(folder):
    """Makes folders old enough for their times to be trusted."""
    for path, _, _ in os.walk(folder):
        os.utime(path, (10**9, 10**9))


def _count_reads(monkeypatch):
    reads = []
    scandir = os.scandir

    def counting(folder):
        reads.append(os.path.basename(folder))
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", counting)
    return reads


def test_a_second_look_reads_only_what_has_changed(tmp_path, monkeypatch):
    for name in ("a/1.jpg", "a/2.jpg", "b/1.jpg", "b/deep/2.jpg"):
        _write(tmp_path / name)
    _settle(tmp_path)
    found = walk.files_below(tmp_path, _SUFFIXES)
    reads = _count_reads(monkeypatch)
    changes = walk.changes_since(found, _SUFFIXES)
    assert changes == walk.Changes((), (), found.folder_times)
    assert not reads
    _write(tmp_path / "b" / "deep" / "0.jpg")
    (tmp_path / "b" / "deep" / "2.jpg").unlink()
    for _ in range(2):  # it stays new, and gone
        changes = walk.changes_since(found, _SUFFIXES)
        assert changes.new == ("b/deep/0.jpg",)
        assert changes.gone == ("b/deep/2.jpg",)
        assert reads == ["deep"]
        reads.clear()


def test_folders_come_and_go(tmp_path):
    for name in ("a/1.jpg", "a/deep/2.jpg", "b/3.jpg"):
        _write(tmp_path / name)
    _settle(tmp_path)
    found = walk.files_below(tmp_path, _SUFFIXES)
    os.rename(tmp_path / "a", tmp_path / "c")
    _write(tmp_path / "b" / "new" / "deep" / "4.jpg")
    changes = walk.changes_since(found, _SUFFIXES)
    assert changes.new == ("b/new/deep/4.jpg", "c/1.jpg", "c/deep/2.jpg")
    assert changes.gone == ("a/1.jpg", "a/deep/2.jpg")


def test_links_to_what_is_known_are_not_new(tmp_path):
    _write(tmp_path / "pics" / "a" / "1.jpg")
    elsewhere = _write(tmp_path / "elsewhere" / "2.jpg")
    os.symlink(tmp_path / "elsewhere", tmp_path / "pics" / "b")
    found = walk.files_below(tmp_path / "pics", _SUFFIXES)
    assert found.names == ("a/1.jpg", "b/2.jpg")
    os.symlink(".", tmp_path / "pics" / "up")
    os.symlink("a/1.jpg", tmp_path / "pics" / "0.jpg")
    os.symlink(elsewhere, tmp_path / "pics" / "3.jpg")
    changes = walk.changes_since(found, _SUFFIXES)
    assert (changes.new, changes.gone) == ((), ())
    more = _write(tmp_path / "elsewhere" / "deep" / "4.jpg")
    os.symlink(more, tmp_path / "pics" / "a" / "4.jpg")
    changes = walk.changes_since(found, _SUFFIXES)
    assert changes.new == ("b/deep/4.jpg",)


def test_a_folder_that_has_just_changed_is_read_again(tmp_path):
    """A clock ticks in milliseconds, a computer does not wait for it."""
    _write(tmp_path / "1.jpg")
    found = walk.files_below(tmp_path, _SUFFIXES)
    time_ns = os.stat(tmp_path).st_mtime_ns
    _write(tmp_path / "2.jpg")
    os.utime(tmp_path, ns=(time_ns, time_ns))
    assert walk.changes_since(found, _SUFFIXES).new == ("2.jpg",)


def test_a_folder_that_could_not_be_read_is_tried_again(tmp_path, monkeypatch):
    """Who opens a folder to others leaves its time as it was."""
    _write(tmp_path / "open" / "1.jpg")
    _write(tmp_path / "closed" / "2.jpg")
    _settle(tmp_path)
    _refuse_closed(monkeypatch)
    found = walk.files_below(tmp_path, _SUFFIXES)
    assert walk.changes_since(found, _SUFFIXES).new == ()
    monkeypatch.undo()
    assert walk.changes_since(found, _SUFFIXES).new == ("closed/2.jpg",)
