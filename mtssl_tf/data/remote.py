"""Files by URL, through fsspec: gs://, s3://, https:// and what else it knows.

Every error of a storage becomes an OSError with the URL and what to do, since
each library has errors of its own.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
import contextlib
import functools
import importlib.util
import logging
import pathlib
from typing import Any, BinaryIO

from mtssl_tf.files import error_text
from mtssl_tf.process import paths

EXTRA = "pip install 'mtssl_tf[remote]'"
# ours: heads of records and of members of archives are read one by one.
_BLOCK_BYTES = 2**16
_TALKATIVE = (
    "fsspec",
    "gcsfs",
    "s3fs",
    "google.auth",
    "botocore",
    "aiobotocore",
)


def check(url: str) -> None:
    """Checks that a URL's storage can be reached.

    Raises:
        ValueError: it is no URL, a package is missing, or nobody knows such
            URLs.
        OSError: the storage refuses, as without credentials.
    """
    if not paths.is_url(url):
        raise ValueError(f"{url} is no URL: name one, as s3://BUCKET/FOLDER.")
    exists(url)


def exists(url: str) -> bool:
    """Returns whether something is there.

    Raises:
        ValueError, OSError: as `check`.
    """
    with _named(url):
        system, path = _filesystem(url)
        return system.exists(path)


def find(url: str) -> list[str]:
    """Returns the names of all files below a folder, relative to it.

    Raises:
        FileNotFoundError: there is no such folder, or nothing in it.
        ValueError, OSError: as `check`.
    """
    with _named(url):
        system, folder = _filesystem(url)
        start = folder.rstrip("/") + "/"
        facts = system.find(folder, detail=True)
        # What is no file, as a pipe, would be waited for without end.
        found = [
            path
            for path, each in facts.items()
            if path != folder and each.get("type", "file") == "file"
        ]
    if not found:
        raise FileNotFoundError(f"{url}: nothing is there. Check the name.")
    return [_after(path, start) for path in found]


def matching(pattern: str) -> list[str]:
    """Returns the URLs that a pattern means, sorted by text.

    Raises:
        ValueError, OSError: as `check`.
    """
    with _named(pattern):
        system, path = _filesystem(pattern)
        return sorted(map(system.unstrip_protocol, system.glob(path)))


def read(url: str, start: int = 0, length: int | None = None) -> bytes:
    """Returns a file's bytes, or `length` of them from `start` on.

    Raises:
        ValueError, OSError: as `check`, or it is not there.
    """
    with _named(url):
        system, path = _filesystem(url)
        if length is None:
            return system.cat_file(path)
        return system.cat_file(path, start=start, end=start + length)


def size(url: str) -> int:
    """Returns how many bytes a file has.

    Raises:
        ValueError, OSError: as `check`, or it is not there.
    """
    with _named(url):
        system, path = _filesystem(url)
        return int(system.size(path))


@contextlib.contextmanager
def opened(url: str) -> Iterator[BinaryIO]:
    """Opens a file to read some bytes here and there.

    Raises:
        ValueError, OSError: as `check`, or it is not there.
    """
    with _named(url):
        system, path = _filesystem(url)
        with system.open(path, "rb", block_size=_BLOCK_BYTES) as file:
            yield file


def upload(
    folder: pathlib.Path,
    url: str,
    last: str,
    left_out: Collection[str] = (),
) -> None:
    """Copies a folder to a URL; what is there is replaced file by file.

    Args:
        folder: of this machine.
        url: of the copy.
        last: name of the file without which the folder means nothing: it is
            copied when all else is there.
        left_out: names of files of the folder that are this machine's alone.

    Raises:
        ValueError, OSError: as `check`.
    """
    files = [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in left_out
    ]
    files.sort(key=lambda path: path == folder / last)
    with _named(url):
        system, start = _filesystem(url)
        for path in files:
            target = f"{start.rstrip('/')}/{path.relative_to(folder)}"
            system.makedirs(target.rpartition("/")[0], exist_ok=True)
            system.put_file(str(path), target)


def _filesystem(url: str) -> tuple[Any, str]:
    if importlib.util.find_spec("fsspec") is None:
        raise ValueError(f"{url} needs the package fsspec: {EXTRA}.")
    return _filesystem_of(url.partition("://")[0]), _path_in(url)


@functools.lru_cache
def _filesystem_of(protocol: str) -> Any:
    import fsspec

    for name in _TALKATIVE:  # tracebacks of what is told in one line here
        logging.getLogger(name).setLevel(logging.CRITICAL)
    return fsspec.filesystem(protocol)


def _path_in(url: str) -> str:
    return _filesystem_of(url.partition("://")[0])._strip_protocol(url)


def _after(path: str, start: str) -> str:
    # A storage may give its paths with or without what stands before them.
    return path[path.index(start) + len(start) :] if start in path else path


@contextlib.contextmanager
def _named(url: str) -> Iterator[None]:
    """Gives every error the URL, and says what to do."""
    try:
        yield
    except ImportError as error:  # fsspec says which package
        raise ValueError(f"{url}: {_reason(error)}.") from error
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"{url}: nothing is there. Check the name."
        ) from error
    except (GeneratorExit, KeyboardInterrupt, SystemExit):
        raise
    except Exception as error:
        if isinstance(error, ValueError) and str(error).startswith(url):
            raise
        if isinstance(error, ValueError) and "rotocol" in str(error):
            raise ValueError(f"{url}: {_reason(error)}.") from error
        raise OSError(
            f"{url} cannot be reached: {_reason(error)}. Check the name, "
            "and that this machine is logged in to that storage."
        ) from error


def _reason(error: BaseException) -> str:
    return error_text.first_line(error).rstrip(".")
