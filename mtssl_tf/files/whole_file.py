"""Reads a file whole: one of a size to expect, and no pipe."""

from __future__ import annotations

import errno
import os
import stat


def load(path: str | os.PathLike, max_bytes: int | None = None) -> bytes:
    """Returns a file's bytes.

    Args:
        path: of the file.
        max_bytes: that it may have; None takes any number.

    Raises:
        OSError: it cannot be read, or is a pipe, which would be waited on
            for ever, a socket or a device, which may have no end.
        ValueError: it is larger.
    """
    facts = os.stat(path)
    if not (stat.S_ISREG(facts.st_mode) or stat.S_ISDIR(facts.st_mode)):
        problem = "Is a pipe, socket or device: name a file"
        raise OSError(errno.EINVAL, problem, os.fspath(path))
    if max_bytes is not None and facts.st_size > max_bytes:
        raise ValueError(
            f"{os.fspath(path)} has {facts.st_size} bytes, above the "
            f"{max_bytes} that are read. Make it smaller, or name another."
        )
    with open(path, "rb") as file:
        return file.read()
