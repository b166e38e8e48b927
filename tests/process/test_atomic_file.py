"""A file or folder is there whole or not at all, whatever happens."""

import os
import pathlib
import signal
import stat
import subprocess
import sys
import threading

import pytest

from mtssl_tf.process import atomic_file


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "notes.json"
    file.write_text("old")
    return file


def test_replaces_the_old_file(path):
    atomic_file.write_text(path, "new, näher")
    assert path.read_text(encoding="utf-8") == "new, näher"
    assert os.listdir(path.parent) == ["notes.json"]


@pytest.mark.parametrize("is_there", [False, True])
def test_a_link_stays_a_link(tmp_path, is_there):
    # A kind of fault: what others read at the end of it keeps the old text.
    target, link = tmp_path / "disk" / "page.html", tmp_path / "link.html"
    target.parent.mkdir()
    if is_there:
        target.write_text("old")
    link.symlink_to(target)
    atomic_file.write_text(link, "new")
    assert link.is_symlink()
    assert target.read_text() == "new"
    assert os.listdir(target.parent) == ["page.html"]


def test_what_is_no_file_is_left_alone(tmp_path):
    # A kind of fault: a device becomes a file, for all who use it.
    pipe, link = tmp_path / "pipe", tmp_path / "link"
    os.mkfifo(pipe)
    link.symlink_to(pipe)
    for path in (pipe, link):
        with pytest.raises(OSError, match=f"Is a device.*{path}"):
            atomic_file.write_text(path, "text")
    assert pipe.is_fifo()


def test_makes_the_folder(tmp_path):
    with atomic_file.open_new(tmp_path / "a" / "b") as file:
        file.write(b"bytes")
    assert (tmp_path / "a" / "b").read_bytes() == b"bytes"


def test_a_writer_that_fails_leaves_the_old_file_alone(path):
    with pytest.raises(ValueError, match="halfway"):
        with atomic_file.open_new(path) as file:
            file.write(b"half of")
            raise ValueError("halfway")
    assert path.read_text() == "old"
    assert os.listdir(path.parent) == ["notes.json"]


def test_who_fails_leaves_the_old_file_alone(path):
    with pytest.raises(UnicodeEncodeError):
        with atomic_file.open_new(path) as file:
            file.write("\ud800".encode())
    assert path.read_text() == "old"
    assert os.listdir(path.parent) == ["notes.json"]


def test_a_stray_byte_is_written_as_its_code(path):
    atomic_file.write_text(path, os.fsdecode(b"caf\xe9"))
    assert path.read_text() == "caf\\udce9"


_KILLED = """
import os, pathlib, signal, sys
from mtssl_tf.process import atomic_file
with atomic_file.{name}(pathlib.Path(sys.argv[1])) as new:
    {write}
    os.kill(os.getpid(), signal.SIGKILL)
"""


def _kill_while_writing(name, write, path):
    code = _KILLED.format(name=name, write=write)
    done = subprocess.run([sys.executable, "-c", code, str(path)])
    assert done.returncode == -signal.SIGKILL


def test_a_process_that_is_killed_leaves_the_old_file_alone(path):
    _kill_while_writing("open_new", "new.write(b'half of'); new.flush()", path)
    assert path.read_text() == "old"


def test_a_process_that_is_killed_leaves_no_folder_of_the_name(tmp_path):
    write = "(new / 'half').write_text('')"
    _kill_while_writing("new_folder", write, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    (left,) = tmp_path.iterdir()
    assert left.suffix == atomic_file.PARTIAL_SUFFIX


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_modes_follow_the_umask(tmp_path, umask):
    before = os.umask(umask)
    try:
        atomic_file.write_text(tmp_path / "file", "")
        with atomic_file.new_folder(tmp_path / "folder"):
            pass
    finally:
        os.umask(before)
    file, folder = tmp_path / "file", tmp_path / "folder"
    assert stat.S_IMODE(file.stat().st_mode) == 0o666 & ~umask
    assert stat.S_IMODE(folder.stat().st_mode) == 0o777 & ~umask


def test_threads_write_one_file_in_turns(path):
    def write(letter):
        for _ in range(50):
            atomic_file.write_text(path, letter * 1000)

    threads = [threading.Thread(target=write, args=(x,)) for x in "abcd"]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        text = path.read_text()
        assert text == "old" or (len(text) == 1000 and len(set(text)) == 1)
    assert os.listdir(path.parent) == ["notes.json"]


def test_a_folder_appears_with_all_that_is_in_it(tmp_path):
    out = tmp_path / "far" / "out"
    with atomic_file.new_folder(out) as folder:
        (folder / "inner").mkdir()
        (folder / "inner" / "file").write_text("whole")
        assert not out.exists()
    assert (out / "inner" / "file").read_text() == "whole"
    assert os.listdir(out.parent) == ["out"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_folder_that_fails_leaves_nothing(tmp_path, error):
    with pytest.raises(error):
        with atomic_file.new_folder(tmp_path / "out") as folder:
            (folder / "half").write_text("")
            raise error
    assert not os.listdir(tmp_path)


def test_a_folder_that_is_there_is_kept(tmp_path):
    out = tmp_path / "out"
    with pytest.raises(FileExistsError, match="out has appeared"):
        with atomic_file.new_folder(out) as folder:
            (folder / "file").write_text("mine")
            out.mkdir()
            (out / "file").write_text("somebody else's")
    assert (out / "file").read_text() == "somebody else's"
    assert os.listdir(tmp_path) == ["out"]


def test_what_a_killed_process_of_our_id_left_is_not_mixed_in(tmp_path):
    with atomic_file.new_folder(tmp_path / "out") as folder:
        left = folder
    left.mkdir()
    (left / "old").write_text("")
    with atomic_file.new_folder(tmp_path / "out") as folder:
        assert folder == left and not list(folder.iterdir())


def test_a_file_system_that_cannot_sync_folders_will_do():
    atomic_file._sync(pathlib.Path("/proc"))  # fsync says EINVAL there


def test_a_scratch_folder_of_a_killed_process_can_be_removed(tmp_path):
    path = tmp_path / "model.ckpt"
    with atomic_file.scratch_folder(path) as folder:
        (folder / "part").write_text("half")
        atomic_file.remove_partials(path)
        assert not list(tmp_path.iterdir())
    with atomic_file.scratch_folder(path) as folder:
        (folder / "part").write_text("whole")
        assert len(list(tmp_path.iterdir())) == 1
    assert not list(tmp_path.iterdir())


def test_finds_files_while_folders_take_other_names(tmp_path):
    """The kind: a list of a live folder, by whoever does not write it."""
    (tmp_path / "kept").mkdir()
    kept = tmp_path / "kept" / "file"
    kept.write_text("")
    is_over = threading.Event()

    def write():
        while not is_over.is_set():
            path = tmp_path / "new"
            with atomic_file.new_folder(path, replaces=True) as folder:
                (folder / "file").write_text("")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for pattern in ("*/file*", "**/file*") * 500:
            assert kept in atomic_file.find(tmp_path, pattern)
    finally:
        is_over.set()
        writer.join()
    assert atomic_file.find(tmp_path / "missing", "*/file") == []
