"""Files that a user's path or pattern means."""

from __future__ import annotations

import glob
import os
import pathlib


def matching_files(pattern: str) -> list[str]:
    """Returns the regular files that a pattern means, sorted by text.

    What is there under the very name typed is meant by it, so that `runs[1]`
    names that folder: each part of the path is a pattern only where nothing
    has its name.
    """
    parts = pathlib.PurePath(pattern).parts
    literal = ""  # the part of the path that is there as it was typed
    for number, part in enumerate(parts):
        if not os.path.lexists(os.path.join(literal, part)):
            rest = os.path.join(*parts[number:])
            found = glob.glob(os.path.join(glob.escape(literal), rest))
            return sorted(filter(os.path.isfile, found))
        literal = os.path.join(literal, part)
    return [literal] if os.path.isfile(literal) else []
