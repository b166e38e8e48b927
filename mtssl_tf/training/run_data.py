"""Whether a run's data are still the files that it started with.

Noted in `data.json` at the first start, so that data may be moved: names, and
the sizes of some, tell whether it is the same.
"""

from __future__ import annotations

from collections.abc import Sequence
import contextlib
import hashlib
import json
import os
import pathlib
from typing import Any

from absl import logging

from mtssl_tf.files import json_file
from mtssl_tf.process import atomic_file
from mtssl_tf.process import paths

FILE = "data.json"
_RECORDS_IN = "records_in"
_NUM_SIZES = 256  # ours: files whose sizes are compared too


def load(workdir: pathlib.Path) -> dict[str, Any]:
    """Returns what is noted of a run's data, by its kind."""
    path = workdir / FILE
    if not path.exists():
        return {}
    remedy = "Remove it, and name the data where it lay at the start."
    return json_file.load_object(path, remedy)


def records_in(workdir: pathlib.Path, images: str) -> str | None:
    """Returns the folder that a run's records are said to be in.

    As `ShardIndex.names` takes it. Names stay what they were at the start,
    wherever the files are by now: they decide what is held out.

    Args:
        workdir: run directory.
        images: what the user named.

    Raises:
        OSError, ValueError: what is noted there cannot be read.
    """
    noted = load(workdir).get("images")
    if not isinstance(noted, dict):
        return ""
    if _RECORDS_IN in noted:
        return str(noted[_RECORDS_IN])
    # A run of an earlier version, whose names have paths.
    before = str(noted.get("path"))
    pattern = before.removeprefix(paths.RECORDS)
    if before in (images, pattern) or "," in before or paths.is_url(pattern):
        return None
    return str(pathlib.PurePath(pattern).parent)


def check(
    workdir: pathlib.Path,
    kind: str,
    where: str,
    names: Sequence[str],
    num_held_out: int,
) -> None:
    """Checks that data that was moved is the same files, and notes them.

    Args:
        workdir: run directory.
        kind: 'images' or 'videos'.
        where: what the user named.
        names: of all examples.
        num_held_out: of them that are never trained on.

    Raises:
        ValueError: it lies elsewhere than at the last start, and is not the
            same.
    """
    known = load(workdir)
    digest, num_sizes = _content_digest(where, names)
    found = {
        "path": where,
        "count": len(names),
        "held_out": num_held_out,
        "digest": digest,
    }
    if kind == "images" and paths.needs_tensorflow(where):
        folder = records_in(workdir, where)
        found |= {} if folder is None else {_RECORDS_IN: folder}
    before = known.get(kind)
    if before == found:
        return
    if isinstance(before, dict):
        _check_order(kind, str(before.get("path")), where)
    if isinstance(before, dict) and before.get("digest") != digest:
        counts = f"{before.get('count')} at the start, {len(names)} now"
        # Clips may be folders, which have no size.
        is_of_files = kind == "images" and paths.local_folders(where) == [where]
        if is_of_files and not num_sizes:
            raise FileNotFoundError(
                f"--{kind}={where} holds none of the files that the run "
                "started with. Mount the disk that they are on, or name the "
                "folder where they are."
            )
        if not paths.is_same_place(str(before.get("path")), where):
            raise ValueError(
                f"--{kind}={where} holds other files than the run started "
                f"with in {before.get('path')} ({counts}). Name the same "
                "ones, or start in another --workdir."
            )
        logging.warning(
            "--%s=%s holds other files than at the start (%s): the run goes "
            "on with these, and not to the bit.",
            kind,
            where,
            counts,
        )
    text = json.dumps({**known, kind: found}, indent=2) + "\n"
    atomic_file.write_text(workdir / FILE, text)


def _check_order(kind: str, before: str, where: str) -> None:
    """Raises ValueError where sets of data are named in another order.

    A number would mean another picture from there on.
    """
    ends = [
        [part.rstrip("/").rpartition("/")[2] for part in each.split(",")]
        for each in (before, where)
    ]
    if ends[0] != ends[1] and sorted(ends[0]) == sorted(ends[1]):
        raise ValueError(
            f"--{kind}={where} has another order than the run started with: "
            f"{before}. Name them in that order."
        )


def _content_digest(where: str, names: Sequence[str]) -> tuple[str, int]:
    """Returns a digest of all names, and of the sizes of some of the files.

    And how many of the sizes there were to find.
    """
    digest = hashlib.sha256()
    num_sizes = 0
    ordered = sorted(names)
    spacing = max(1, len(ordered) // _NUM_SIZES)
    for first in range(0, len(ordered), spacing):
        # All at once: there may be a million.
        name, *others = ordered[first : first + spacing]
        digest.update(os.fsencode(name) + b"\0")
        path = os.path.join(where, name)
        with contextlib.suppress(OSError, ValueError):
            if os.path.isfile(path):
                digest.update(str(os.path.getsize(path)).encode())
                num_sizes += 1
        text = "".join([f"{other}\0" for other in others])
        digest.update(os.fsencode(text))
    return digest.hexdigest(), num_sizes
