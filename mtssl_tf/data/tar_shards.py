"""Reads pictures from tar files, as webdataset writes them.

Members are not unpacked: where each lies is looked up once, so that pictures
come in any order, and a run goes on at any position. A class is what a
picture's `.cls` beside it says, or its folder within the archive.
"""

from __future__ import annotations

from collections.abc import Sequence
import os
import tarfile
from typing import BinaryIO

from absl import logging
import numpy as np

from mtssl_tf.data import folder
from mtssl_tf.data import pictures
from mtssl_tf.data import remote_reads
from mtssl_tf.data import shard_index
from mtssl_tf.files import names as names_lib
from mtssl_tf.process import paths as paths_lib

_CLASS_SUFFIX = ".cls"
_MAX_NOTE_BYTES = 2**20  # ours: of a name, or of a `.cls`
_OF_NAMES = (
    *(tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE),
    *(tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE),
)
_END_BYTES = 2 * tarfile.RECORDSIZE  # an archive is filled up to one


def open_shards(spec: str) -> pictures.PictureSource:
    """Opens all pictures in the tar files that a pattern means.

    Args:
        spec: `webdataset:GLOB`, or a pattern that ends in `.tar`; a path or a
            URL.

    Raises:
        FileNotFoundError: no file matches.
        ValueError: a file is no tar file, or there is no picture.
    """
    pattern = spec.removeprefix(paths_lib.SHARDS)
    files = shard_index.matching_files(pattern)
    if not files:
        raise FileNotFoundError(
            f"--images={spec}: no file matches {pattern!r}. Quote the "
            "pattern, and check its folder."
        )
    members: dict[str, list[str]] = {}

    def spans(path: str, file: BinaryIO, _: int) -> list[tuple[int, int]]:
        found = _members(path, file)
        members[path] = [member.name for member in found]
        return [(member.offset_data, member.size) for member in found]

    index = shard_index.build_index(files, spans)
    names = [name for path in files for name in members[path]]
    is_picture = np.array(
        [name.lower().endswith(folder.PICTURE_SUFFIXES) for name in names], bool
    )
    if not is_picture.any():
        raise ValueError(
            f"--images={spec}: none of the {len(names)} members is a picture. "
            f"Expected names ending in {', '.join(folder.PICTURE_SUFFIXES)}."
        )
    return _source(spec, index, names, np.flatnonzero(is_picture))


def _members(path: str, file: BinaryIO) -> list[tarfile.TarInfo]:
    """Returns the files of an archive that is not compressed."""
    try:
        with tarfile.open(fileobj=file, mode="r:", tarinfo=_Member) as archive:
            members = list(archive)
            _check_end(path, file, archive.offset)
    except (tarfile.TarError, EOFError) as error:
        raise ValueError(
            f"{path} is cut off or no tar file that is not compressed: "
            f"{error}. Write it again, or leave it out of the pattern."
        ) from error
    visible = [
        member
        for member in members
        if os.path.basename(member.name)[:1] != "." and not member.isdir()
    ]
    whole = [each for each in visible if each.isreg() and not each.issparse()]
    if len(whole) < len(visible):
        left_out = {each.name for each in visible} - {e.name for e in whole}
        logging.warning(
            "Left out %d members of %s, which are links or no whole files: %s.",
            len(visible) - len(whole),
            names_lib.shown(path),
            names_lib.some(sorted(left_out)),
        )
    return whole


class _Member(tarfile.TarInfo):
    """A member whose names and notes, which are read whole, are bounded."""

    def _proc_member(self, archive: tarfile.TarFile) -> tarfile.TarInfo:
        if self.type in _OF_NAMES and self.size > _MAX_NOTE_BYTES:
            raise tarfile.ReadError(
                f"a member's name or notes claim {self.size} bytes, above "
                f"{_MAX_NOTE_BYTES}"
            )
        # The one place of `tarfile` that is meant to be overridden.
        return super()._proc_member(archive)  # type: ignore[misc]


def _check_end(path: str, file: BinaryIO, offset: int) -> None:
    """Checks that an archive ends where `tarfile` has stopped to read.

    It stops without a word at a header that is damaged or cut off.

    Raises:
        ValueError: there is no end, or something behind it.
    """
    file.seek(offset)
    end = file.read(_END_BYTES)
    if len(end) < tarfile.BLOCKSIZE or end[: tarfile.BLOCKSIZE].strip(b"\0"):
        problem = "is damaged or cut off"
    elif end.strip(b"\0"):
        problem = "has another archive behind its end"
    else:
        return
    raise ValueError(
        f"{path} {problem} at byte {offset}. Write it again, or leave it out "
        "of the pattern."
    )


def _source(
    spec: str,
    index: shard_index.ShardIndex,
    names: Sequence[str],
    numbers: np.ndarray,
) -> pictures.PictureSource:
    """Returns the source of the members `numbers`, int64 [n]."""

    def read_number(position: int) -> bytes:
        return index.read(int(numbers[position]))

    far = remote_reads.RemoteReads(read_number) if index.is_far else None
    read = far.read if far else read_number
    classes = _find_classes(index, names, numbers)
    class_names = tuple(sorted(set(classes), key=_class_order))
    of_class = {name: number for number, name in enumerate(class_names)}
    shard_names = shard_index.own_names(index.paths)
    return pictures.PictureSource(
        description=names_lib.as_text(spec),
        names=names_lib.all_as_text(
            [
                f"{shard_names[index.file_numbers[number]]}/{names[number]}"
                for number in numbers.tolist()
            ]
        ),
        read=read,
        fingerprint=lambda position: (
            f"{names[numbers[position]]} {index.lengths[numbers[position]]}"
        ),
        class_names=names_lib.all_as_text(class_names),
        read_class=(
            (lambda position: of_class[classes[position]])
            if class_names
            else None
        ),
        read_ahead=far.read_ahead if far else None,
    )


def _find_classes(
    index: shard_index.ShardIndex, names: Sequence[str], numbers: np.ndarray
) -> list[str]:
    """Returns a class's name for each picture; none where one has no class."""
    labels = {
        (index.file_numbers[number], name.removesuffix(_CLASS_SUFFIX)): number
        for number, name in enumerate(names)
        if name.endswith(_CLASS_SUFFIX)
    }
    keys = [
        (index.file_numbers[number], _key(names[number]))
        for number in numbers.tolist()
    ]
    if labels and all(key in labels for key in keys):
        reads = remote_reads.RemoteReads(index.read)
        wanted = np.array([labels[key] for key in keys])
        largest = wanted[index.lengths[wanted].argmax()]
        if index.lengths[largest] > _MAX_NOTE_BYTES:
            raise ValueError(
                f"{index.path(largest)}: {names[largest]} has "
                f"{index.lengths[largest]} bytes, above {_MAX_NOTE_BYTES}: it "
                "is no class. Write it again, or leave it out of the pattern."
            )
        if index.is_far:
            reads.read_ahead(wanted)
        return [
            reads.read(int(each)).decode(errors="backslashreplace").strip()
            for each in wanted
        ]
    tops = [
        names[number].lstrip("./").split("/") for number in numbers.tolist()
    ]
    return [top[0] for top in tops] if all(map(_has_folder, tops)) else []


def _key(name: str) -> str:
    """Returns a name up to the first dot of its last part (webdataset)."""
    start, slash, base = name.rpartition("/")
    return f"{start}{slash}{base.partition('.')[0]}"


def _has_folder(parts: Sequence[str]) -> bool:
    return len(parts) > 1


def _class_order(name: str) -> tuple[int, str]:
    is_number = name.isdecimal() and len(name) < 19  # of 64 bits
    return (int(name) if is_number else -1, name)
