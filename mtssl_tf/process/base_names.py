"""Settings and texts without the folders that things lie in on a machine.

What others get to read, as a model card, says `photos` where the run was given
`/home/ann/photos`: which pictures it was is of use to them, where is not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
import pathlib
import re
import shlex
from typing import Any

from mtssl_tf.process import paths

# `--flag=` and `--set section.key=`, which stand before a path.
_BEFORE_PATH = re.compile(r"(?:--?[\w.-]+=)?(?:\w+\.\w+=)?")
_COMMAND = "command"
_HISTORY = "history"  # of a run's starts: command lines and folders in words


def of_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what `config.json` holds, every path as its last part.

    The history of a run that went on with other settings is left out.
    """
    short = _shorten(settings)
    short[_COMMAND] = of_command(settings.get(_COMMAND, ""))
    return short | {_HISTORY: []} if _HISTORY in short else short


def of_command(command: str) -> str:
    """Returns a command line, every path in it as its last part."""
    try:
        return shlex.join(map(of_path, shlex.split(command)))
    except ValueError:  # no shell's quoting: in words
        return command if "/" not in command else ""


def of_path(text: str) -> str:
    """Returns the last parts of local paths; all else as it is.

    Args:
        text: a path, or several with commas between; or such behind
            `--flag=`. `tfds:`, `gs://` and other addresses name no local one.
    """
    before = _BEFORE_PATH.match(text)
    start = before.end() if before else 0
    return text[:start] + paths.join(map(_last_part, text[start:].split(",")))


def _last_part(text: str) -> str:
    mark = next(
        (each for each in paths.BEFORE_PATHS if text.startswith(each)), ""
    )
    path = text.removeprefix(mark)
    if "/" not in path or "://" in path or path.startswith(paths.TFDS):
        return text
    return mark + pathlib.PurePath(path).name


def in_text(text: str, settings: Mapping[str, Any]) -> str:
    """Returns a text in which the settings' paths are their last parts."""
    for path in sorted(_paths(settings), key=len, reverse=True):
        text = text.replace(path, of_path(path))
    return text


def _shorten(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _shorten(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_shorten(each) for each in value]
    return of_path(value) if isinstance(value, str) else value


def _paths(value: Any) -> Iterator[str]:
    """Yields the paths of settings that are shortened to something."""
    if isinstance(value, Mapping):
        for each in value.values():
            yield from _paths(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _paths(each)
    elif isinstance(value, str):
        for path in value.split(","):
            if _last_part(path) not in ("", path):
                yield path
