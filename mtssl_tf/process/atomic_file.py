"""Files and folders that appear whole, durably, or not at all.

Who is killed while writing leaves at most a `*.partial` beside the old file.
"""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import errno
import glob
import os
import pathlib
import re
import shutil
import stat
import threading
from typing import BinaryIO

PARTIAL_SUFFIX = ".partial"
_WRITER = re.compile(r"\.\d+-\d+" + re.escape(PARTIAL_SUFFIX) + "$")


def write_text(path: pathlib.Path, text: str) -> None:
    """Writes a file, and its folder if that is missing.

    A stray byte of a path, which is no UTF-8, is written as its code.

    Raises:
        OSError: it cannot be written; an older file is as it was.
    """
    with open_new(path) as file:
        file.write(text.encode(errors="backslashreplace"))


@contextlib.contextmanager
def open_new(path: pathlib.Path) -> Iterator[BinaryIO]:
    """Opens a file that takes its name once the block has ended well.

    Its folder is made if it is missing. A link stays one: the file that it
    leads to is written.

    Raises:
        OSError: it cannot be written, or is a device, pipe or socket; an
            older file is as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _check_replaceable(path)
    path = pathlib.Path(os.path.realpath(path))
    partial = _partial(path)
    try:
        with partial.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException as error:
        partial.unlink(missing_ok=True)
        # A full disk's is of no file: there may be several disks.
        if isinstance(error, OSError) and error.errno and not error.filename:
            error.filename = str(path)
        raise
    _sync(path.parent)


def move(file: pathlib.Path, path: pathlib.Path) -> None:
    """Gives a whole file its name, in place of one of that name.

    Raises:
        OSError: it cannot be written to disk.
    """
    _sync(file)
    os.replace(file, path)
    _sync(path.parent)


@contextlib.contextmanager
def new_folder(
    path: pathlib.Path, replaces: bool = False
) -> Iterator[pathlib.Path]:
    """Makes a folder that takes its name once the block has ended well.

    Args:
        path: of the folder.
        replaces: whether one of that name is replaced; who is killed in
            between leaves none.

    Yields:
        The empty folder to fill, beside `path`.

    Raises:
        FileExistsError: there is a folder of that name at the end that is
            not to be replaced, and it is not empty.
        OSError: it cannot be written; a link to nothing, as to a disk that is
            away, before anything is done.
    """
    if path.is_symlink() and not path.exists():
        raise FileNotFoundError(
            f"{path} is a link to nothing. Mount the disk that it leads to, or "
            "name another."
        )
    partial = _partial(path)
    shutil.rmtree(partial, ignore_errors=True)  # a killed process had our id
    partial.mkdir(parents=True)
    try:
        yield partial
        # The bottom first: a folder is on disk once what it names is.
        for folder, _, files in os.walk(partial, topdown=False):
            for name in files:
                _sync(pathlib.Path(folder, name))
            _sync(pathlib.Path(folder))
        if replaces:
            remove(path)
        _rename_folder(partial, path)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    _sync(path.parent)


@contextlib.contextmanager
def scratch_folder(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """Makes an empty folder beside `path` that is gone after the block.

    For files that are moved one by one; what a killed process left of it is
    one of those that `remove_partials` removes.
    """
    scratch = _partial(path)
    shutil.rmtree(scratch, ignore_errors=True)  # a killed process had our id
    scratch.mkdir(parents=True)
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def remove_partials(path: pathlib.Path) -> None:
    """Removes what dead processes left when they wrote this name.

    For who holds the lock of that name: a living writer's goes too.
    """
    _remove_partials(path.parent, f"{path.name}.")


def remove_partials_in(folder: pathlib.Path) -> None:
    """Removes what dead processes left when they wrote names in a folder.

    For who holds the lock of that folder.
    """
    _remove_partials(folder, "")


def _remove_partials(folder: pathlib.Path, start: str) -> None:
    if not folder.is_dir():
        return
    for name in os.listdir(folder):
        if not (name.startswith(start) and _WRITER.search(name)):
            continue
        remove(folder / name)


def find(folder: pathlib.Path, pattern: str) -> list[pathlib.Path]:
    """Returns what matches below a folder, while others may write there.

    `pathlib`'s own search fails when a folder that it has seen, such as a
    `*.partial`, takes another name before it is opened.

    Args:
        folder: to look in; one that is not there holds nothing.
        pattern: as of `glob.glob`: `**` stands for folders of any depth,
            hidden ones too.
    """
    found = glob.glob(
        pattern, root_dir=folder, recursive=True, include_hidden=True
    )
    return [folder / name for name in sorted(found)]


def remove(path: pathlib.Path) -> None:
    """Removes a file, or a folder with all that is in it."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _check_replaceable(path: pathlib.Path) -> None:
    """Raises OSError where a name is that of no file, nor of a new one."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        problem = "Is a device, pipe or socket: name a file"
        raise OSError(errno.EINVAL, problem, str(path))


def _partial(path: pathlib.Path) -> pathlib.Path:
    """Returns a name beside `path` for this thread alone."""
    writer = f"{os.getpid()}-{threading.get_native_id()}"
    return path.with_name(f"{path.name}.{writer}{PARTIAL_SUFFIX}")


def _rename_folder(old: pathlib.Path, new: pathlib.Path) -> None:
    try:
        old.rename(new)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        raise FileExistsError(
            f"{new} has appeared while it was being written."
        ) from error


def _sync(path: pathlib.Path) -> None:
    """Waits until a file, or a folder's list of names, is on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network file systems have no such thing for folders.
        if error.errno != errno.EINVAL:
            raise
    finally:
        os.close(descriptor)
