"""A labelled part of a clip on disk: a folder of frames, masks and an index."""

from __future__ import annotations

from collections.abc import Sequence
import contextlib
import dataclasses
import json
import pathlib
import shutil

from mtssl_tf.motion import labelled_frame
from mtssl_tf.process import atomic_file

INDEX = "entry.json"


@dataclasses.dataclass(frozen=True)
class Entry:
    """A labelled part.

    Attributes:
        folder: of its files.
        names: of the frames whose motion is known, in their order.
        problem: '' or why the clip breaks off within the part.
        num_bytes: of its files.
        shared_bytes: of them those of frames that other entries may show too.
        frames_key: of these in the pool; '' in entries of earlier versions.
    """

    folder: pathlib.Path
    names: tuple[str, ...]
    problem: str
    num_bytes: int
    shared_bytes: int = 0
    frames_key: str = ""

    def files(self, number: int) -> labelled_frame.Files:
        """Returns the files of a frame and its mask."""
        return labelled_frame.files(self.folder, self.names[number])


def save(
    folder: pathlib.Path,
    names: Sequence[str],
    problem: str,
    shared_bytes: int,
    frames_key: str,
) -> None:
    """Writes the index of a folder whose frames and masks are there."""
    index = {
        "names": list(names),
        "problem": problem,
        "bytes": sum(file.stat().st_size for file in folder.iterdir()),
        "shared": shared_bytes,
        "frames": frames_key,
    }
    (folder / INDEX).write_text(json.dumps(index))


def load(folder: pathlib.Path) -> Entry:
    """Reads an entry.

    Raises:
        FileNotFoundError: there is none.
        ValueError, KeyError, TypeError: its index is damaged.
    """
    index = json.loads((folder / INDEX).read_text())
    return Entry(
        folder,
        tuple(index["names"]),
        index["problem"],
        int(index["bytes"]),
        int(index.get("shared", 0)),
        str(index.get("frames", "")),
    )


def list_entries(root: pathlib.Path) -> list[tuple[float, Entry]]:
    """Returns each entry below a folder with its last use."""
    found = []
    for index in root.glob(f"*/{INDEX}"):
        folder = index.parent
        if folder.suffix == atomic_file.PARTIAL_SUFFIX:
            continue  # about to become an entry
        with contextlib.suppress(FileNotFoundError):
            used_s = index.stat().st_mtime
            try:
                entry = load(folder)
            except (ValueError, KeyError, TypeError):  # damaged
                size = sum(file.stat().st_size for file in folder.iterdir())
                entry = Entry(folder, (), "", size)
            found.append((used_s, entry))
    return found


def remove(folder: pathlib.Path) -> None:
    """Removes an entry, or what is left of one."""
    # The index goes first: half an entry is no entry.
    (folder / INDEX).unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
