"""One writer at a time for a folder, on this host or on several.

The lock is a file that names its holder. It needs no lock of the file system,
which network disks have in part or not at all: who makes the file has the
lock. A dead holder blocks nobody: on its own host it is dead when its process
is, and on another one when it has not refreshed the file for a while.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
import contextlib
import dataclasses
import datetime
import errno
import json
import math
import os
import pathlib
import socket
import stat
import threading
import time
import uuid

from absl import logging

from mtssl_tf.process import end_signals

FILE = ".lock"
SUFFIX = ".lock"
_REFRESH_S = 10.0  # ours
_DEAD_AFTER_S = 60.0  # ours: six refreshes that failed to come
_WAIT_S = 0.1
_GUARD_DEAD_AFTER_S = 5.0  # ours: it is held for a few file operations
# ours: who finds the guard of one that was killed waits until it is dead.
_PATIENCE_S = 3 * _GUARD_DEAD_AFTER_S


class LockedError(OSError):
    """Somebody else writes there."""


@dataclasses.dataclass(frozen=True)
class _Holder:
    """Who has a lock.

    Attributes:
        host: its name.
        machine: tells apart where process ids mean the same: the machine
            since its start, and the container.
        pid: of the process.
        started: the process's start, in ticks since the machine's; 0 where
            the system does not say.
        since: when it took the lock, for people.
        token: no other lock has it.
        folder: number (inode) of the folder that the lock was made in; 0
            where an earlier version has made it.
    """

    host: str
    machine: str
    pid: int
    started: int
    since: str
    token: str
    folder: int = 0

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}, since {self.since}"


@contextlib.contextmanager
def hold(
    folder: pathlib.Path, on_loss: Callable[[str], None] = logging.error
) -> Iterator[None]:
    """Locks a folder, which is made if it is missing.

    One that is made here and stays empty is removed again.

    Args:
        folder: that this process writes.
        on_loss: is called, from another thread, with what to say where
            another host has taken the lock, since this process stood still.

    Raises:
        LockedError: another process writes there; names it.
        OSError: the folder cannot be written.
    """
    is_new = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        what = "a file"
        if not folder.exists():
            what = "a link to nothing: mount the disk that it leads to"
        raise NotADirectoryError(
            f"{folder} is {what}. Name a folder to write to."
        ) from error
    try:
        with _hold_file(folder / FILE, folder, on_loss):
            yield
    finally:
        if is_new:
            with contextlib.suppress(OSError):
                folder.rmdir()  # fails where something was written


@contextlib.contextmanager
def hold_name(
    path: pathlib.Path, on_loss: Callable[[str], None] = logging.error
) -> Iterator[None]:
    """Locks a name that a file or folder will appear under.

    As `hold`, with the lock beside it.

    Raises:
        ValueError: the path has no name, as that of `.` or `/`.
    """
    if not path.name:
        raise ValueError(
            f"{path} is a folder that is there already. Name a new one."
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}{SUFFIX}")
    with _hold_file(beside, path, on_loss):
        yield


@contextlib.contextmanager
def _hold_file(
    path: pathlib.Path, what: pathlib.Path, on_loss: Callable[[str], None]
) -> Iterator[None]:
    mine = _own_entry(path)
    _acquire(path, what, mine)
    is_over = threading.Event()

    def release() -> None:
        if _read(path) == mine:
            path.unlink(missing_ok=True)

    threading.Thread(
        target=_refresh,
        args=(path, what, mine, is_over, on_loss),
        name="lock",
        daemon=True,
    ).start()
    end_signals.add_last_deed(release)
    try:
        yield
    finally:
        is_over.set()
        end_signals.remove_last_deed(release)
        with contextlib.suppress(OSError):
            release()


def _acquire(path: pathlib.Path, what: pathlib.Path, mine: _Holder) -> None:
    """Makes the lock's file.

    Raises:
        LockedError: another one has it.
    """
    # Whole before it has the name: nobody reads a part of it.
    scratch = path.with_name(f"{path.name}.{mine.token}")
    try:
        scratch.write_text(json.dumps(dataclasses.asdict(mine)))
        deadline = time.monotonic() + _PATIENCE_S
        while time.monotonic() < deadline:
            if _make(scratch, path):
                return
            try:
                facts = path.stat()
            except FileNotFoundError:
                if not path.is_symlink():
                    continue
                facts = path.lstat()
            if not stat.S_ISREG(facts.st_mode):
                raise LockedError(
                    f"{what} cannot be locked: {path} is no file, or a link "
                    "to nothing. Remove it."
                )
            holder = _read(path)
            age = _now(scratch) - facts.st_mtime
            if age < -_DEAD_AFTER_S and not (holder and _is_here(holder)):
                # The clock was put back since it was written.
                logging.warning(
                    "%s is of a later time than now: looks for %.0f s whether "
                    "its holder refreshes it.",
                    path,
                    2 * _REFRESH_S,
                )
                deadline += 2 * _REFRESH_S
                age = 0.0 if _is_refreshed(path, facts) else math.inf
            if holder is None:
                # Damaged, or of a file system without links, in the making.
                if age < _DEAD_AFTER_S:
                    raise LockedError(
                        f"{what} is locked by {path}, which does not say by "
                        "whom. Wait a minute, or remove that file if nobody "
                        "writes there."
                    )
            elif _is_alive(holder, age) and not _is_copy(holder, path):
                raise LockedError(
                    f"{what} is being written by {holder}, says {path}. Wait "
                    "for it, stop it, or name another folder."
                )
            _remove_dead(path, holder, scratch)
    finally:
        scratch.unlink(missing_ok=True)
    raise LockedError(
        f"{what}: its lock {path} changes hands all the time. Try again."
    )


def _now(scratch: pathlib.Path) -> float:
    """Returns the time by the clock of the disk."""
    os.utime(scratch)
    return scratch.stat().st_mtime


def _is_refreshed(path: pathlib.Path, before: os.stat_result) -> bool:
    """Returns whether a holder, who lives, refreshes the file or removes it.

    Waits for as long as two refreshes take.
    """
    deadline = time.monotonic() + 2 * _REFRESH_S
    while time.monotonic() < deadline:
        time.sleep(_WAIT_S)
        try:
            if path.stat().st_mtime_ns != before.st_mtime_ns:
                return True
        except FileNotFoundError:
            return True
    return False


def _make(scratch: pathlib.Path, path: pathlib.Path) -> bool:
    """Gives the file its name if nobody has it; returns whether it has."""
    try:
        os.link(scratch, path)
        return True
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in (
            errno.EPERM,
            errno.EOPNOTSUPP,
            errno.ENOSYS,
            errno.EMLINK,
        ):
            raise
    try:
        # A file system without links.
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    except FileExistsError:
        return False
    with os.fdopen(descriptor, "w") as file:
        file.write(scratch.read_text())
    return True


def _remove_dead(
    path: pathlib.Path, holder: _Holder | None, scratch: pathlib.Path
) -> None:
    """Removes a dead holder's file, unless another one has just done so.

    Of several that find it dead, one at a time looks again and removes: the
    second would remove the lock that the first has made since.
    """
    guard = path.with_name(f"{path.name}.guard")
    try:
        os.close(os.open(guard, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
    except FileExistsError:
        with contextlib.suppress(FileNotFoundError):
            # One that lies ahead is from before the clock was put back.
            age = _now(scratch) - guard.stat().st_mtime
            if abs(age) > _GUARD_DEAD_AFTER_S:
                guard.unlink()
        time.sleep(_WAIT_S)
        return
    try:
        if _read(path) == holder:
            path.unlink(missing_ok=True)
            if holder is not None:
                logging.info("Took over the lock of %s, which is gone.", holder)
    finally:
        guard.unlink(missing_ok=True)


def _refresh(
    path: pathlib.Path,
    what: pathlib.Path,
    mine: _Holder,
    is_over: threading.Event,
    on_loss: Callable[[str], None],
) -> None:
    while not is_over.wait(_REFRESH_S):
        try:
            holder = _read(path)
            if holder == mine:
                os.utime(path)
                continue
        except OSError as error:
            # A network disk may be away for a while.
            logging.warning("%s cannot be refreshed: %s.", path, error)
            continue
        if is_over.is_set():
            return
        by = f"taken by {holder}" if holder else "removed"
        on_loss(
            f"The lock of {what} was {by}: this process had stood still for "
            "too long, or somebody removed it. It must not write there any "
            "more."
        )
        return


def _read(path: pathlib.Path) -> _Holder | None:
    """Returns the holder; None where there is none, or it is not said."""
    try:
        return _Holder(**json.loads(path.read_text()))
    except (FileNotFoundError, RecursionError, TypeError, ValueError):
        return None


def _own_entry(path: pathlib.Path) -> _Holder:
    return _Holder(
        socket.gethostname(),
        _machine(),
        os.getpid(),
        _start_ticks(os.getpid()) or 0,
        datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        uuid.uuid4().hex,
        path.parent.stat().st_ino,
    )


def _is_here(holder: _Holder) -> bool:
    here = (socket.gethostname(), _machine())
    return (holder.host, holder.machine) == here


def _is_copy(holder: _Holder, path: pathlib.Path) -> bool:
    """Returns whether a lock came here with a copy of what it locks."""
    own = path.parent.stat().st_ino
    return _is_here(holder) and holder.folder not in (0, own)


def _is_alive(holder: _Holder, age_s: float) -> bool:
    if not _is_here(holder):
        return age_s < _DEAD_AFTER_S
    started = _start_ticks(holder.pid)
    if started is not None:
        return started == holder.started
    if pathlib.Path("/proc/self/stat").exists():
        return False
    try:  # a system without /proc
        os.kill(holder.pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # somebody else's, and alive
    return True


def _machine() -> str:
    parts = []
    with contextlib.suppress(OSError):
        boot = pathlib.Path("/proc/sys/kernel/random/boot_id")
        parts.append(boot.read_text().strip())
    with contextlib.suppress(OSError):
        parts.append(os.readlink("/proc/self/ns/pid"))
    return " ".join(parts)


def _start_ticks(pid: int) -> int | None:
    """Returns a process's start; None where none lives under that id."""
    try:
        text = pathlib.Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return None
    # The name in parentheses may hold anything; the state is the third field.
    fields = text.rpartition(")")[2].split()
    if fields[0] in ("Z", "X"):
        return None  # dead, and not yet collected by its parent
    return int(fields[19])
