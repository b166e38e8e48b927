"""Finds the TF-Slim checkpoint that a user's path means.

A path is a V2 prefix (`model.ckpt` for `model.ckpt.index`), a V1 file, a
directory, or an archive as checkpoints are published, `.tar.gz` or `.tar`.
"""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import errno
import glob
import gzip
import io
import os
import pathlib
import re
import tarfile
import tempfile
import typing
from typing import BinaryIO
import zlib

from mtssl_tf.files import names as names_lib

# The last bytes of a LevelDB table: V1 checkpoints and V2 indices are tables.
_TABLE_MAGIC = bytes.fromhex("57fb808b247547db")
_ARCHIVE_SUFFIXES = (".tar.gz", ".tgz", ".tar")
# ours: ResNet-152 with RMSProp's slots is 0.7 GB.
_MAX_UNPACKED_BYTES = 8 * 2**30
_MAX_MEMBERS = 10_000  # ours: a training's folder of checkpoints has tens
_MAX_READ_BYTES = 2**20  # ours: a header of names has a few hundred
_PLAIN_NAME = "model.ckpt"
_OF_THE_DISK = (errno.EACCES, errno.EDQUOT, errno.EIO, errno.ENOSPC)
_GZIP_MAGIC = b"\x1f\x8b"


class _RefusedError(ValueError):
    """An archive has what none needs, and nothing of it is unpacked."""


@contextlib.contextmanager
def open_checkpoint(path: str | os.PathLike) -> Iterator[pathlib.Path]:
    """Gives the checkpoint's prefix (V2) or file (V1).

    An archive is unpacked into a temporary directory, which lives as long as
    the context.

    Raises:
        FileNotFoundError: there is nothing at `path`, or no checkpoint in it.
        ValueError: an archive is damaged or has a member that could write
            outside of its directory; or several checkpoints are in it.
    """
    # What a shell completes to.
    location = pathlib.Path(os.fspath(path).removesuffix(".index"))
    if location.is_file() and location.name.endswith(_ARCHIVE_SUFFIXES):
        with tempfile.TemporaryDirectory() as folder:
            _unpack(location, pathlib.Path(folder))
            yield _find_in_tree(pathlib.Path(folder), location)
    elif location.is_dir():
        with _plainly_named(_find_in_folder(location)) as prefix:
            yield prefix
    elif is_checkpoint(location):
        with _plainly_named(location) as prefix:
            yield prefix
    else:
        raise FileNotFoundError(
            f"No TF-Slim checkpoint at '{path}'. Expected a prefix with "
            "'.index' and '.data-*' files beside it, a V1 file, a directory "
            "or a .tar.gz."
        )


@contextlib.contextmanager
def _plainly_named(prefix: pathlib.Path) -> Iterator[pathlib.Path]:
    """Gives a prefix that TensorFlow reads as a name.

    It takes `exp[1]` for a pattern, and no bytes but UTF-8.
    """
    path = names_lib.as_text(prefix)
    if glob.has_magic(path) or "\\" in path:
        with tempfile.TemporaryDirectory() as folder:
            plain = pathlib.Path(folder) / _PLAIN_NAME
            for file in prefix.parent.iterdir():
                rest = file.name.removeprefix(prefix.name)
                if file.name.startswith(prefix.name) and rest[:1] in ("", "."):
                    link = plain.with_name(f"{_PLAIN_NAME}{rest}")
                    link.symlink_to(file.resolve())
            yield plain
    else:
        yield prefix


def is_checkpoint(path: pathlib.Path) -> bool:
    """Says whether `path` is a V2 prefix or a V1 file, by its files."""
    return _index_of(path).is_file() or path.is_file()


def _index_of(prefix: pathlib.Path) -> pathlib.Path:
    return prefix.with_name(f"{prefix.name}.index")


def _find_in_tree(root: pathlib.Path, archive: pathlib.Path) -> pathlib.Path:
    folders = [root, *(p for p in sorted(root.rglob("*")) if p.is_dir())]
    found = [folder for folder in folders if _candidates(folder)]
    if len(found) != 1:
        names = [str(folder.relative_to(root)) for folder in found]
        raise FileNotFoundError(
            f"Expected one folder with a checkpoint in {str(archive)!r}, "
            f"found {names or 'none'}. Unpack it and pass the prefix."
        )
    return _find_in_folder(found[0])


def _find_in_folder(folder: pathlib.Path) -> pathlib.Path:
    """Returns the checkpoint that `folder/checkpoint` names, or the only one.

    The file may name a path of the machine that wrote it, so that only the
    last part counts.
    """
    state = folder / "checkpoint"
    if state.is_file():
        text = state.read_text(errors="replace")
        match = re.search(r'^model_checkpoint_path:\s*"(.*)"', text, re.M)
        if match is None:
            raise ValueError(
                f'{str(state)!r} has no line model_checkpoint_path: "...". '
                "Pass the checkpoint's prefix."
            )
        prefix = folder / pathlib.PurePosixPath(match[1]).name
        if not is_checkpoint(prefix):
            raise FileNotFoundError(
                f"{str(state)!r} names {match[1]!r}, but there is no "
                f"{prefix.name!r} beside it."
            )
        return prefix
    candidates = _candidates(folder)
    if len(candidates) != 1:
        names = [path.name for path in candidates]
        raise FileNotFoundError(
            f"Expected one checkpoint in {str(folder)!r}, found "
            f"{names or 'none'}. Pass its prefix."
        )
    return candidates[0]


def _candidates(folder: pathlib.Path) -> list[pathlib.Path]:
    found = []
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):  # `._NAME` of macOS among them
            continue
        if path.suffix == ".index":
            found.append(path.with_suffix(""))
        elif path.is_file() and _is_table(path):
            found.append(path)
    return found


def _is_table(path: pathlib.Path) -> bool:
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(size - len(_TABLE_MAGIC), 0))
        return file.read() == _TABLE_MAGIC


class _BoundedReads(io.RawIOBase):
    """A stream that is read in small parts only.

    `tarfile` reads a header at one go, however long it claims to be; what a
    member holds it reads in parts.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= _MAX_READ_BYTES:
            raise tarfile.ReadError(
                f"a header claims {size} bytes, above {_MAX_READ_BYTES}"
            )
        return self._stream.read(size)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        return self._stream.tell()


def _unpack(archive: pathlib.Path, folder: pathlib.Path):
    try:
        with _open_stream(archive) as stream:
            bounded = typing.cast(BinaryIO, _BoundedReads(stream))
            with tarfile.open(fileobj=bounded, mode="r:") as tar:
                members = _checked_members(archive, tar)
                for member in members:
                    if member.isfile():
                        tar.extract(member, folder, filter="data")
    except _RefusedError:
        raise
    except (
        tarfile.TarError,
        EOFError,
        OSError,
        ValueError,
        zlib.error,
    ) as error:
        if isinstance(error, OSError) and error.errno in _OF_THE_DISK:
            raise
        raise ValueError(
            f"Can't unpack {str(archive)!r}: {error}. It is damaged or cut "
            "short; fetch it again."
        ) from error


def _open_stream(archive: pathlib.Path) -> BinaryIO:
    """Opens what is in a .tar.gz, or a .tar as it is.

    No other compression is read: an xz of a few bytes may claim gigabytes.
    """
    with archive.open("rb") as file:
        is_gzip = file.read(len(_GZIP_MAGIC)) == _GZIP_MAGIC
    if is_gzip:
        return typing.cast(BinaryIO, gzip.open(archive))
    return archive.open("rb")


def _checked_members(
    archive: pathlib.Path, tar: tarfile.TarFile
) -> list[tarfile.TarInfo]:
    """Returns an archive's members; stops at the first that is refused."""
    members: list[tarfile.TarInfo] = []
    total_bytes = 0
    while (member := tar.next()) is not None:
        _check_member(archive, member)
        members.append(member)
        total_bytes += member.size
        if total_bytes > _MAX_UNPACKED_BYTES:
            raise _RefusedError(
                f"Refusing {str(archive)!r}: it unpacks to {total_bytes} bytes "
                f"or more, expected at most {_MAX_UNPACKED_BYTES}. Nothing was "
                "unpacked."
            )
        if len(members) > _MAX_MEMBERS:
            raise _RefusedError(
                f"Refusing {str(archive)!r}: it has over {_MAX_MEMBERS} "
                "members. Nothing was unpacked."
            )
    return members


def _check_member(archive: pathlib.Path, member: tarfile.TarInfo):
    """Raises _RefusedError at a member that a checkpoint has no need of."""
    path = pathlib.PurePosixPath(member.name)
    if path.is_absolute() or ".." in path.parts:
        problem = "lies outside of the archive"
    elif not (member.isfile() or member.isdir()):
        problem = "is a link or a device"
    else:
        return
    raise _RefusedError(
        f"Refusing {str(archive)!r}: member {member.name!r} {problem}. "
        "Nothing was unpacked."
    )
