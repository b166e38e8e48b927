"""One writer at a time, and a dead one blocks nobody.

Kind of fault: two commands write the same folder, and the second replaces
what the first has written.
"""

import concurrent.futures
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import threading
import time

import pytest

from mtssl_tf.process import atomic_file
from mtssl_tf.process import lock

_HOLDER = """
import pathlib, sys, time
from mtssl_tf.process import lock
with lock.hold(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", _HOLDER, str(tmp_path / "run")],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()


def _entry(tmp_path, **changes):
    """Writes a lock of the present form, held by somebody else."""
    folder = tmp_path / "run"
    with lock.hold(folder):
        entry = json.loads((folder / lock.FILE).read_text())
    folder.mkdir(exist_ok=True)
    (folder / lock.FILE).write_text(json.dumps(entry | changes))
    return folder


def test_the_second_is_refused_by_the_firsts_name(tmp_path, holder):
    with pytest.raises(lock.LockedError) as found:
        with lock.hold(tmp_path / "run"):
            pass
    assert f"process {holder.pid} on {os.uname().nodename}" in str(found.value)
    assert "since 20" in str(found.value)


def test_a_copy_of_what_is_being_written_is_not(tmp_path, holder):
    # A kind of fault: a record that says who, and not of what.
    shutil.copytree(tmp_path / "run", tmp_path / "copy")
    with lock.hold(tmp_path / "copy"):
        pass
    with pytest.raises(lock.LockedError):
        with lock.hold(tmp_path / "run"):
            pass


def test_one_that_was_killed_blocks_nobody(tmp_path, holder):
    holder.send_signal(signal.SIGKILL)
    # Not collected: a process that is dead and listed is dead too.
    os.waitid(os.P_PID, holder.pid, os.WEXITED | os.WNOWAIT)
    with lock.hold(tmp_path / "run"):
        pass


def test_one_that_ends_leaves_nothing(tmp_path):
    with lock.hold(tmp_path / "run"):
        assert os.listdir(tmp_path / "run") == [lock.FILE]
    assert not os.listdir(tmp_path)
    with lock.hold_name(tmp_path / "out"):
        assert os.listdir(tmp_path) == [".out.lock"]
    assert not os.listdir(tmp_path)


def test_a_folder_with_something_in_it_stays(tmp_path):
    with lock.hold(tmp_path / "run"):
        (tmp_path / "run" / "file").touch()
    assert os.listdir(tmp_path / "run") == ["file"]


def test_another_process_under_the_same_id_is_not_the_holder(tmp_path):
    with lock.hold(_entry(tmp_path, started=1)):
        pass


def test_another_host_is_dead_when_it_does_not_refresh(tmp_path):
    folder = _entry(tmp_path, host="elsewhere", pid=1)
    with pytest.raises(lock.LockedError, match="process 1 on elsewhere"):
        with lock.hold(folder):
            pass
    old = time.time() - 61
    os.utime(folder / lock.FILE, (old, old))
    with lock.hold(folder):
        pass


def test_a_container_of_our_name_is_another_host(tmp_path):
    folder = _entry(tmp_path, machine="another", pid=2**22 + 1)
    with pytest.raises(lock.LockedError):
        with lock.hold(folder):
            pass


@pytest.mark.parametrize("text", ["", "{", "[]", '{"host": 1}'])
def test_a_damaged_lock_is_named_and_grows_old(tmp_path, text):
    (tmp_path / lock.FILE).write_text(text)
    with pytest.raises(lock.LockedError, match=r"\.lock, which does not say"):
        with lock.hold(tmp_path):
            pass
    old = time.time() - 61
    os.utime(tmp_path / lock.FILE, (old, old))
    with lock.hold(tmp_path):
        pass


def test_of_many_that_find_a_dead_one_one_gets_it(tmp_path):
    folder = _entry(tmp_path, started=1)
    inside, got, refused = [], [], []
    gate = threading.Barrier(12)

    def try_once(_):
        gate.wait()
        try:
            with lock.hold(folder):
                inside.append(1)
                assert len(inside) == 1
                time.sleep(0.2)
                inside.pop()
                got.append(1)
        except lock.LockedError:
            refused.append(1)

    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        list(pool.map(try_once, range(12)))
    assert got and len(got) + len(refused) == 12
    assert not folder.exists() or not os.listdir(folder)


def test_one_killed_while_it_took_over_blocks_nobody(tmp_path, monkeypatch):
    # Its guard made every next one give up, for half a minute.
    monkeypatch.setattr(lock, "_GUARD_DEAD_AFTER_S", 0.5)
    folder = _entry(tmp_path, started=1)
    guard = folder / f"{lock.FILE}.guard"
    guard.touch()
    with lock.hold(folder):
        assert not guard.exists()


def test_it_is_refreshed_while_held(tmp_path, monkeypatch):
    monkeypatch.setattr(lock, "_REFRESH_S", 0.05)
    with lock.hold(tmp_path):
        path = tmp_path / lock.FILE
        os.utime(path, (1.0, 1.0))
        deadline = time.monotonic() + 5
        while path.stat().st_mtime < 2:
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_who_has_lost_it_is_told_and_does_not_remove_the_next(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(lock, "_REFRESH_S", 0.05)
    told = []
    folder = _entry(tmp_path, host="elsewhere")
    taken = (folder / lock.FILE).read_text()
    (folder / lock.FILE).unlink()
    with lock.hold(folder, told.append):
        atomic_file.write_text(folder / lock.FILE, taken)
        deadline = time.monotonic() + 5
        while not told:
            assert time.monotonic() < deadline
            time.sleep(0.01)
    assert "elsewhere" in told[0] and "must not write" in told[0]
    assert (folder / lock.FILE).read_text() == taken


def test_a_disk_without_links_will_do(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(lock.os, "link", refuse)
    with lock.hold(tmp_path):
        with pytest.raises(lock.LockedError, match=f"process {os.getpid()}"):
            with lock.hold(tmp_path):
                pass


def test_a_file_is_no_folder(tmp_path):
    path = pathlib.Path(tmp_path / "file")
    path.touch()
    with pytest.raises(NotADirectoryError, match="file is a file"):
        with lock.hold(path):
            pass
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "disk that is away")
    with pytest.raises(NotADirectoryError, match="link is a link to nothing"):
        with lock.hold(link):
            pass


@pytest.mark.parametrize(
    "make",
    [
        lambda path: path.mkdir(),
        lambda path: path.symlink_to("nowhere"),
        os.mkfifo,
    ],
    ids=["folder", "link", "pipe"],
)
def test_a_lock_that_cannot_be_one_is_named_at_once(tmp_path, make):
    path = tmp_path / lock.FILE
    make(path)
    start_s = time.monotonic()
    with pytest.raises(lock.LockedError, match=f"{lock.FILE} is no file, or"):
        with lock.hold(tmp_path):
            pass
    assert time.monotonic() - start_s < 2


def _put_ahead(path):
    ahead = time.time() + 30 * 86400
    os.utime(path, (ahead, ahead))


@pytest.fixture
def short_refresh(monkeypatch):
    monkeypatch.setattr(lock, "_REFRESH_S", 0.5)


@pytest.mark.parametrize("text", [None, "damaged"])
def test_a_dead_holder_of_a_later_time_blocks_nobody(
    tmp_path, short_refresh, text
):
    # A kind of fault: after the clock was put back it is young for years.
    folder = _entry(tmp_path, host="elsewhere")
    path = folder / lock.FILE
    if text is not None:
        path.write_text(text)
    guard = folder / f"{lock.FILE}.guard"
    guard.touch()
    _put_ahead(path)
    _put_ahead(guard)
    with lock.hold(folder):
        assert json.loads(path.read_text())["pid"] == os.getpid()
    assert not guard.exists()


def test_a_holder_of_a_later_time_that_refreshes_it_lives(
    tmp_path, short_refresh
):
    folder = _entry(tmp_path, host="elsewhere")
    path = folder / lock.FILE
    _put_ahead(path)
    refresh = threading.Timer(0.3, os.utime, [path])
    refresh.start()
    with pytest.raises(lock.LockedError, match=f"elsewhere.*says {path}"):
        with lock.hold(folder):
            pass
    refresh.join()


@pytest.mark.parametrize("name", [".", "/"])
def test_a_path_without_a_name_is_none_for_something_new(name):
    with pytest.raises(ValueError, match="Name a new one"):
        with lock.hold_name(pathlib.Path(name)):
            pass
