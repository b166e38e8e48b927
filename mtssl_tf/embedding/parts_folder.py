"""The folder of parts: which of its files are ours, so that no other goes."""

from __future__ import annotations

import contextlib
import os
import pathlib
import re

from mtssl_tf.files import names as names_lib
from mtssl_tf.process import atomic_file

SETTINGS_FILE = "settings.json"
STATISTICS_FILE = "statistics.npz"
_OWN = re.compile(
    rf"({re.escape(SETTINGS_FILE)}|{re.escape(STATISTICS_FILE)}|\d{{5,}}\.npz)"
    rf"(\..*{re.escape(atomic_file.PARTIAL_SUFFIX)})?"
)


def check(folder: pathlib.Path) -> None:
    """Refuses a folder that holds something else than parts.

    Raises:
        FileExistsError: it does, or is a file.
    """
    if not os.path.lexists(folder):
        return
    if not folder.is_dir():
        raise FileExistsError(
            f"{folder} is no folder, and parts are to be written there. Move "
            "it, or name another --out."
        )
    others = [name for name in sorted(os.listdir(folder)) if not _is_own(name)]
    if others:
        raise FileExistsError(
            f"{folder}, where parts are to be written, holds "
            f"{names_lib.some(others)}. Move that, or name another --out."
        )


def remove(folder: pathlib.Path) -> None:
    """Removes the parts, and the folder where nothing else is in it."""
    if not folder.is_dir():
        return
    for name in os.listdir(folder):
        if _is_own(name):
            atomic_file.remove(folder / name)
    with contextlib.suppress(OSError):
        folder.rmdir()


def _is_own(name: str) -> bool:
    return _OWN.fullmatch(name) is not None
