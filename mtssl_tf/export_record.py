"""What an export says of itself in `export.json`, for who reads it later."""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses
import json
import pathlib
from typing import Any

from mtssl_tf import version
from mtssl_tf.files import json_file
from mtssl_tf.process import atomic_file

FILE = "export.json"
STATISTICS_FILE = "statistics.npz"
# 1 had no such file, and its `trunk.keras` wanted pictures to which the input
# contract had been applied. From 2 on the contract is in `trunk.keras`.
FORMAT = 2
_REMEDY = "Export the run again."


@dataclasses.dataclass(frozen=True)
class ExportRecord:
    """The entries of `export.json`.

    Attributes:
        format: see `FORMAT`.
        mixes: task -> its lasso mix, a weight a unit in depth order; empty
            where the run had no lasso.
        statistics: where the per-channel statistics are from, or why there
            are none.
        differences: format -> the largest difference that its check found,
            relative to the largest feature.
        version: of mtssl_tf.
    """

    format: int = 1
    mixes: Mapping[str, list[float]] = dataclasses.field(default_factory=dict)
    statistics: str = "of an older version, which made none"
    differences: Mapping[str, float] = dataclasses.field(default_factory=dict)
    version: str = ""

    @property
    def has_contract_inside(self) -> bool:
        """Whether `trunk.keras` takes RGB in 0..255 itself."""
        return self.format >= 2


def save(record: ExportRecord, folder: pathlib.Path) -> None:
    """Writes `export.json` into an export."""
    text = json.dumps(dataclasses.asdict(record), indent=2)
    atomic_file.write_text(folder / FILE, f"{text}\n")


def load(folder: pathlib.Path) -> ExportRecord:
    """Returns what an export says of itself; of one without it, format 1.

    Raises:
        ValueError: it is damaged, or of a later format.
    """
    path = folder / FILE
    if not path.is_file():
        return ExportRecord()
    entries: dict[str, Any] = json_file.load_object(path, _REMEDY)
    found = entries.get("format")
    if type(found) is not int or not 1 <= found <= FORMAT:
        raise ValueError(
            f"{path} has format {found!r}, of version "
            f"{entries.get('version')} of mtssl_tf; version "
            f"{version.VERSION} reads 1 to {FORMAT}. Use that version."
        )
    try:
        return ExportRecord(**entries)
    except TypeError as error:
        raise ValueError(f"{path} is damaged: {error}. {_REMEDY}") from error
